// As group_member.py, in kafkajs; its assignor speaks "range", so that others can be in its group.
const { Kafka, logLevel, AssignerProtocol } = require('kafkajs')
const { MemberMetadata, MemberAssignment } = AssignerProtocol

const options = JSON.parse(process.argv[2])
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n')

const range = ({ cluster }) => ({
  name: 'range',
  version: 0,
  async assign({ members, topics }) {
    const ids = members.map((member) => member.memberId).sort()
    const shares = Object.fromEntries(ids.map((id) => [id, {}]))
    for (const topic of topics) {
      const partitions = cluster.findTopicPartitionMetadata(topic).map((one) => one.partitionId)
      partitions.sort((one, other) => one - other)
      const count = Math.floor(partitions.length / ids.length)
      const extra = partitions.length % ids.length
      ids.forEach((id, n) => {
        const first = n * count + Math.min(n, extra)
        shares[id][topic] = partitions.slice(first, first + count + (n < extra ? 1 : 0))
      })
    }
    return ids.map((memberId) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({
        version: 0, assignment: shares[memberId], userData: Buffer.alloc(0),
      }),
    }))
  },
  protocol({ topics }) {
    const metadata = MemberMetadata.encode({ version: 0, topics, userData: Buffer.alloc(0) })
    return { name: 'range', metadata }
  },
})

async function main() {
  const kafka = new Kafka({ brokers: [options.bootstrap], logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({
    groupId: options.group,
    sessionTimeout: options.session_timeout_ms,
    heartbeatInterval: options.heartbeat_interval_ms,
    rebalanceTimeout: options.rebalance_timeout_ms,
    maxWaitTimeInMs: 100,
    partitionAssigners: [range],
  })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
    say({ owned: [...(payload.memberAssignment[options.topic] || [])].sort((a, b) => a - b) }))
  consumer.on(consumer.events.REBALANCING, () => say({ owned: [] }))
  await consumer.connect()
  await consumer.subscribe({ topic: options.topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isStale, isRunning }) => {
      if (!isRunning() || isStale() || batch.messages.length === 0) return
      const last = batch.messages[batch.messages.length - 1].offset
      const records = batch.messages.map((one) =>
        [batch.partition, Number(one.offset), one.value.toString()])
      say({ records })
      resolveOffset(last)
      const offset = (BigInt(last) + 1n).toString()
      try {
        await consumer.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset }])
        say({ committed: [[batch.partition, Number(offset)]] })
      } catch (error) {
        say({ commit_failed: String(error) })
        throw error
      }
      await heartbeat()
    },
  })
  process.stdin.resume()
  process.stdin.on('end', async () => {
    await consumer.disconnect()
    say({ owned: [] })
    process.exit(0)
  })
}

main()
