// Writes a hundred records and reads them as a group: kafkajs.
const { Kafka, logLevel } = require("kafkajs");

const [bootstrap, topic, groupId] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR });

async function roundTrip() {
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  const messages = Array.from({ length: 100 }, (_, n) => ({ key: `key ${n}`, value: `value ${n}` }));
  await producer.send({ topic, messages });
  await producer.disconnect();

  const consumer = kafka.consumer({ groupId });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const seen = new Set();
  await new Promise((resolve) => {
    consumer.run({
      autoCommitThreshold: 1,
      eachMessage: async ({ message }) => {
        seen.add(message.value.toString());
        if (seen.size === 100) resolve();
      },
    });
  });
  await consumer.disconnect();
}

roundTrip().catch((error) => {
  console.error(error);
  process.exit(1);
});
