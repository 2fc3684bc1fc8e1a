// Writes a hundred records and reads them as a group: confluent-kafka-go.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func main() {
	bootstrap, topic, group := os.Args[1], os.Args[2], os.Args[3]
	producer, err := kafka.NewProducer(&kafka.ConfigMap{
		"bootstrap.servers": bootstrap, "go.delivery.reports": false,
	})
	check(err)
	place := kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny}
	for n := range 100 {
		check(producer.Produce(&kafka.Message{
			TopicPartition: place, Key: fmt.Appendf(nil, "key %d", n), Value: fmt.Appendf(nil, "value %d", n),
		}, nil))
	}
	if left := producer.Flush(60_000); left != 0 {
		panic(left)
	}

	consumer, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": bootstrap, "group.id": group,
		"auto.offset.reset": "earliest", "enable.auto.commit": false,
	})
	check(err)
	check(consumer.Subscribe(topic, nil))
	seen := map[string]bool{}
	for len(seen) < 100 {
		message, err := consumer.ReadMessage(time.Minute)
		check(err)
		seen[string(message.Value)] = true
	}
	_, err = consumer.Commit()
	check(err)
	check(consumer.Close())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
