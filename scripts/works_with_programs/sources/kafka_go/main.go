// Writes a hundred records and reads them as a group: segmentio/kafka-go.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/segmentio/kafka-go"
)

func main() {
	bootstrap, topic, group := os.Args[1], os.Args[2], os.Args[3]
	ctx := context.Background()
	writer := &kafka.Writer{Addr: kafka.TCP(bootstrap), Topic: topic, Balancer: kafka.Murmur2Balancer{}}
	messages := make([]kafka.Message, 100)
	for n := range messages {
		messages[n] = kafka.Message{Key: fmt.Appendf(nil, "key %d", n), Value: fmt.Appendf(nil, "value %d", n)}
	}
	check(writer.WriteMessages(ctx, messages...))
	check(writer.Close())

	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{bootstrap}, Topic: topic, GroupID: group, StartOffset: kafka.FirstOffset,
	})
	seen := map[string]bool{}
	for len(seen) < 100 {
		message, err := reader.ReadMessage(ctx)
		check(err)
		seen[string(message.Value)] = true
	}
	check(reader.Close())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
