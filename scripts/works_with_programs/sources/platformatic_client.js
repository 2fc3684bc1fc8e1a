// Writes a hundred records and reads them as a group: @platformatic/kafka.
const { Consumer, Producer, stringDeserializers, stringSerializers } = require("@platformatic/kafka");

const [bootstrap, topic, groupId] = process.argv.slice(2);
const address = { clientId: "works-with", bootstrapBrokers: [bootstrap] };

async function roundTrip() {
  const producer = new Producer({ ...address, serializers: stringSerializers });
  const messages = Array.from({ length: 100 }, (_, n) => ({
    topic, key: `key ${n}`, value: `value ${n}`,
  }));
  await producer.send({ messages });
  await producer.close();

  const consumer = new Consumer({ ...address, groupId, deserializers: stringDeserializers });
  const stream = await consumer.consume({ topics: [topic], mode: "earliest", autocommit: false });
  const seen = new Set();
  for await (const message of stream) {
    seen.add(message.value);
    await message.commit();
    if (seen.size === 100) break;
  }
  await consumer.close(true);
}

roundTrip().catch((error) => {
  console.error(error);
  process.exit(1);
});
