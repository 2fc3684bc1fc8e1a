// Writes a hundred records and reads them as a group: franz-go.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	bootstrap, topic, group := os.Args[1], os.Args[2], os.Args[3]
	ctx := context.Background()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
	)
	check(err)
	for n := range 100 {
		record := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "key %d", n), Value: fmt.Appendf(nil, "value %d", n)}
		check(client.ProduceSync(ctx, record).FirstErr())
	}
	seen := map[string]bool{}
	for len(seen) < 100 {
		fetches := client.PollFetches(ctx)
		check(fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) { seen[string(record.Value)] = true })
	}
	check(client.CommitUncommittedOffsets(ctx))
	client.Close()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
