/* The client of scripts/bench kafka: librdkafka, so that the broker is what is measured.
 *
 *   bench_client produce BROKERS TOPIC ACKS SIZE COUNT     COUNT records of SIZE bytes, no keys
 *   bench_client consume BROKERS TOPIC PARTITIONS COUNT    COUNT records from the beginning
 *   bench_client latency BROKERS TOPIC ACKS SIZE RATE SECONDS
 *       end to end through one partition, linger.ms=0, after WARM_UP_SECONDS that do not count
 *
 * Prints one JSON object. Any error ends it with status 1.
 */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 10000, WARM_UP_SECONDS = 3 };

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int64_t failures = 0;

static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
  (void)handle, (void)opaque;
  if (message->err) {
    if (!failures++) fprintf(stderr, "delivery failed: %s\n", rd_kafka_err2str(message->err));
  }
}

/* A client with name, value, name, value, ..., NULL as its configuration. */
static rd_kafka_t *client(rd_kafka_type_t type, const char *brokers, ...) {
  char error[256];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, delivered);
  rd_kafka_conf_set(conf, "bootstrap.servers", brokers, error, sizeof error);
  va_list settings;
  va_start(settings, brokers);
  for (const char *name; (name = va_arg(settings, const char *));)
    if (rd_kafka_conf_set(conf, name, va_arg(settings, const char *), error, sizeof error))
      fail("%s", error);
  va_end(settings);
  rd_kafka_t *handle = rd_kafka_new(type, conf, error, sizeof error);
  if (!handle) fail("%s", error);
  return handle;
}

static rd_kafka_t *producer(const char *brokers, const char *acks, const char *linger_ms) {
  return client(RD_KAFKA_PRODUCER, brokers, "acks", acks, "linger.ms", linger_ms,
                "delivery.report.only.error", "true", "queue.buffering.max.messages", "500000",
                "queue.buffering.max.kbytes", "262144", NULL);
}

static void produce(char **arguments) {
  const char *brokers = arguments[0], *topic_name = arguments[1], *acks = arguments[2];
  int size = atoi(arguments[3]);
  int64_t count = atoll(arguments[4]);
  rd_kafka_t *handle = producer(brokers, acks, "5");
  rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, topic_name, NULL);
  char *payload = malloc(size);
  for (int i = 0; i < size; i++) payload[i] = 'a' + i % 26;
  const struct rd_kafka_metadata *metadata;
  if (rd_kafka_metadata(handle, 0, topic, &metadata, 10000)) fail("no metadata");
  rd_kafka_metadata_destroy(metadata);
  int64_t begin = now_ns();
  for (int64_t i = 0; i < count;) {
    if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, 0, payload, size, NULL, 0, NULL) == 0)
      i++;
    else if (rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL)
      rd_kafka_poll(handle, 1);
    else
      fail("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
  }
  if (rd_kafka_flush(handle, 120000)) fail("not everything was delivered in time");
  double seconds = (now_ns() - begin) / 1e9;
  if (failures) fail("%lld records failed", (long long)failures);
  printf("{\"records\": %lld, \"seconds\": %.6f}\n", (long long)count, seconds);
}

static void consume(char **arguments) {
  const char *brokers = arguments[0], *topic_name = arguments[1];
  int partitions = atoi(arguments[2]);
  int64_t count = atoll(arguments[3]), got = 0, bytes = 0;
  rd_kafka_t *handle = client(RD_KAFKA_CONSUMER, brokers, "group.id", "bench", "check.crcs", "false",
                              "enable.auto.commit", "false", "queued.min.messages", "10000000",
                              "queued.max.messages.kbytes", "2000000", NULL);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
  for (int i = 0; i < partitions; i++)
    rd_kafka_topic_partition_list_add(list, topic_name, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_message_t **messages = malloc(BATCH * sizeof *messages);
  int64_t begin = now_ns(), first = 0;
  if (rd_kafka_assign(handle, list)) fail("assign failed");
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(handle);
  while (got < count) {
    ssize_t n = rd_kafka_consume_batch_queue(queue, 30000, messages, BATCH);
    if (n <= 0) fail("no more records after %lld", (long long)got);
    if (!first) first = now_ns();
    for (ssize_t i = 0; i < n; i++) {
      if (messages[i]->err) fail("consume: %s", rd_kafka_message_errstr(messages[i]));
      bytes += messages[i]->len;
      rd_kafka_message_destroy(messages[i]);
    }
    got += n;
  }
  int64_t end = now_ns();
  printf("{\"records\": %lld, \"bytes\": %lld, \"seconds\": %.6f, \"after_first\": %.6f}\n",
         (long long)got, (long long)bytes, (end - begin) / 1e9, (end - first) / 1e9);
}

struct reader {
  rd_kafka_t *handle;
  int64_t count;
  double *latencies_ms;
  volatile int started;
};

static void *read_latencies(void *argument) {
  struct reader *reader = argument;
  for (int64_t got = 0; got < reader->count;) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(reader->handle, 30000);
    if (!message) fail("no more records after %lld", (long long)got);
    if (!message->err) {
      int64_t sent;
      memcpy(&sent, message->payload, sizeof sent);
      if (sent) reader->latencies_ms[got++] = (now_ns() - sent) / 1e6;
      reader->started = 1;
    }
    rd_kafka_message_destroy(message);
  }
  return NULL;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void latency(char **arguments) {
  const char *brokers = arguments[0], *topic_name = arguments[1], *acks = arguments[2];
  int size = atoi(arguments[3]);
  int64_t rate = atoll(arguments[4]), count = rate * atoll(arguments[5]);
  rd_kafka_t *sender = producer(brokers, acks, "0");
  rd_kafka_topic_t *topic = rd_kafka_topic_new(sender, topic_name, NULL);
  struct reader reader = {client(RD_KAFKA_CONSUMER, brokers, "group.id", "bench",
                                 "enable.auto.commit", "false", NULL),
                          count, malloc(count * sizeof(double)), 0};
  rd_kafka_poll_set_consumer(reader.handle);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic_name, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
  if (rd_kafka_assign(reader.handle, list)) fail("assign failed");
  char *payload = calloc(1, size);
  pthread_t thread;
  pthread_create(&thread, NULL, read_latencies, &reader);
  while (!reader.started) {
    rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, payload, size, NULL, 0, NULL);
    rd_kafka_flush(sender, 10000);
  }
  /* Records with time 0 do not count. */
  int64_t begin = now_ns(), uncounted = rate * WARM_UP_SECONDS;
  for (int64_t i = 0; i < uncounted + count; i++) {
    int64_t due = begin + i * 1000000000LL / rate, wait = due - now_ns();
    if (wait > 0) {
      struct timespec pause = {wait / 1000000000LL, wait % 1000000000LL};
      nanosleep(&pause, NULL);
    }
    int64_t sent = i < uncounted ? 0 : now_ns();
    memcpy(payload, &sent, sizeof sent);
    while (rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, payload, size, NULL, 0, NULL))
      rd_kafka_poll(sender, 1);
    rd_kafka_poll(sender, 0);
  }
  pthread_join(thread, NULL);
  rd_kafka_flush(sender, 10000);
  if (failures) fail("%lld records failed", (long long)failures);
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += reader.latencies_ms[i];
  qsort(reader.latencies_ms, count, sizeof(double), ascending);
  printf("{\"records\": %lld, \"mean\": %.4f, \"p50\": %.4f, \"p99\": %.4f, \"p99.9\": %.4f}\n",
         (long long)count, sum / count, reader.latencies_ms[count / 2],
         reader.latencies_ms[count * 99 / 100], reader.latencies_ms[count * 999 / 1000]);
}

int main(int argc, char **argv) {
  if (argc == 7 && !strcmp(argv[1], "produce"))
    produce(argv + 2);
  else if (argc == 6 && !strcmp(argv[1], "consume"))
    consume(argv + 2);
  else if (argc == 8 && !strcmp(argv[1], "latency"))
    latency(argv + 2);
  else
    fail("usage: see the top of bench_client.c");
  return 0;
}
