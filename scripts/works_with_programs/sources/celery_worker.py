"""Takes a hundred tasks of a queue and writes what they give to a file: Celery."""

import os
import subprocess
import sys

from celery import Celery

app = Celery("works_with", broker=f"confluentkafka://{os.environ['BOOTSTRAP']}")
app.conf.task_default_queue = os.environ["TOPIC"]
app.conf.broker_transport_options = {"allow_create_topics": True}
app.conf.worker_enable_remote_control = False


@app.task(name="capitals")
def capitals(value):
    with open(os.environ["RESULTS"], "a") as results:
        print(value.upper(), file=results)


if __name__ == "__main__":
    for n in range(100):
        capitals.delay(f"value {n}")
    wanted = {f"VALUE {n}" for n in range(100)}
    flags = ["worker", "--pool=solo", "--without-gossip", "--without-mingle", "--loglevel=ERROR"]
    worker = subprocess.Popen([sys.executable, "-m", "celery", "-A", "celery_worker", *flags])
    try:
        while worker.poll() is None:
            with open(os.environ["RESULTS"], "a+") as results:
                results.seek(0)
                if {line.strip() for line in results} == wanted:
                    break
    finally:
        worker.terminate()
        worker.wait(60)
    assert worker.returncode == 0, worker.returncode
