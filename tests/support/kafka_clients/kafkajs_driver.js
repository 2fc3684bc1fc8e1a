// Drives kafkajs: a line of JSON says what to do, a line of JSON answers with the result or error.

const readline = require("readline");
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require("kafkajs");

CompressionCodecs[CompressionTypes.Snappy] = require("kafkajs-snappy");
const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy };

const kafka = new Kafka({ brokers: [process.argv[2]], logLevel: logLevel.NOTHING });
// What is refused is tried five times by default, for ten seconds.
const admin = kafka.admin({ retry: { retries: 1 } });
const bytes = (text) => (text === null ? null : Buffer.from(text, "base64"));
const text = (data) => (data === null || data === undefined ? null : Buffer.from(data).toString("base64"));

let session = null;

// A consumer hands over one message at a time; the next comes when that one has been read.
class Session {
  constructor(topic, consumer) {
    this.topic = topic;
    this.consumer = consumer;
    this.waiting = [];
    this.reader = null;
    this.next = new Map();
  }

  receive(partition, message) {
    return new Promise((taken) => {
      this.waiting.push({ partition, message, taken });
      if (this.reader) this.reader();
    });
  }

  async read(count) {
    const found = [];
    while (found.length < count) {
      while (this.waiting.length === 0) await new Promise((ready) => (this.reader = ready));
      this.reader = null;
      const { partition, message, taken } = this.waiting.shift();
      this.next.set(partition, BigInt(message.offset) + 1n);
      found.push(shown(partition, message));
      taken();
    }
    return found;
  }

  // Whatever waits was fetched before; kafkajs hands out nothing that a seek or pause makes stale.
  drop(partition) {
    this.waiting.filter((one) => one.partition === partition).forEach((one) => one.taken());
    this.waiting = this.waiting.filter((one) => one.partition !== partition);
  }
}

function shown(partition, message) {
  const headers = [];
  for (const [name, value] of Object.entries(message.headers || {}))
    for (const one of Array.isArray(value) ? value : [value]) headers.push([name, text(one)]);
  return {
    partition,
    headers,
    offset: message.offset,
    timestamp: message.timestamp,
    key: text(message.key),
    value: text(message.value),
  };
}

function messageOf({ key, value, headers, partition, timestamp }) {
  const named = {};
  for (const [name, one] of headers) (named[name] = named[name] || []).push(bytes(one));
  return { key: bytes(key), value: bytes(value), headers: named, partition, timestamp };
}

const methods = {
  async produce({ topic, messages, codec, idempotent }) {
    const producer = kafka.producer(idempotent ? { idempotent, maxInFlightRequests: 1 } : {});
    await producer.connect();
    try {
      const sent = messages.map(messageOf);
      for (let first = 0; first < sent.length; first += 500)
        await producer.send({
          topic,
          compression: CODECS[codec],
          messages: sent.slice(first, first + 500),
        });
    } finally {
      await producer.disconnect();
    }
  },
  async subscribe({ topic, group }) {
    // Leaving waits for the fetch that is under way: five seconds by default.
    const consumer = kafka.consumer({ groupId: group, maxWaitTimeInMs: 200 });
    session = new Session(topic, consumer);
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    const mine = session;
    await consumer.run({
      autoCommit: false,
      eachMessage: ({ partition, message }) => mine.receive(partition, message),
    });
  },
  read: ({ count }) => session.read(count),
  commit: () =>
    session.consumer.commitOffsets(
      [...session.next].map(([partition, offset]) => ({
        topic: session.topic,
        partition,
        offset: offset.toString(),
      })),
    ),
  async seek({ partition, offset }) {
    session.consumer.seek({ topic: session.topic, partition, offset: offset.toString() });
    session.drop(partition);
  },
  async pause({ partition }) {
    session.consumer.pause([{ topic: session.topic, partitions: [partition] }]);
    session.drop(partition);
  },
  async resume({ partition }) {
    session.consumer.seek({
      topic: session.topic,
      partition,
      offset: session.next.get(partition).toString(),
    });
    session.consumer.resume([{ topic: session.topic, partitions: [partition] }]);
  },
  async offsetForTime({ partition, timestamp }) {
    const found = await admin.fetchTopicOffsetsByTimestamp(session.topic, timestamp);
    const offset = Number(found.find((one) => one.partition === partition).offset);
    return offset < 0 ? null : offset;
  },
  async leave() {
    const consumer = session.consumer;
    session.receive = () => Promise.reject(new Error("left"));
    session.waiting.forEach((one) => one.taken());
    session = null;
    await consumer.disconnect();
  },
  async transaction({ id }) {
    const producer = kafka.producer({ transactionalId: id, idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    try {
      await (await producer.transaction()).abort();
    } finally {
      await producer.disconnect();
    }
  },
  async admin({ call, argument }) {
    return (await admin[call](argument)) ?? null;
  },
};

(async () => {
  await admin.connect();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { method, ...given } = JSON.parse(line);
    let answer;
    try {
      answer = { result: (await methods[method](given)) ?? null };
    } catch (error) {
      answer = { error: String(error.stack) };
    }
    console.log(JSON.stringify(answer));
  }
  await admin.disconnect();
  process.exit(0);
})();
