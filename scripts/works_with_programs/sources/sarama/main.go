// Writes a hundred records and reads them as a group: sarama.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/IBM/sarama"
)

type reader struct {
	seen map[string]bool
	done context.CancelFunc
}

func (*reader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (reader *reader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		reader.seen[string(message.Value)] = true
		session.MarkMessage(message, "")
		if len(reader.seen) == 100 {
			session.Commit()
			reader.done()
		}
	}
	return nil
}

func main() {
	bootstrap, topic, group := os.Args[1], os.Args[2], os.Args[3]
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.Return.Successes = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
	check(err)
	for n := range 100 {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{
			Topic: topic, Partition: 0,
			Key:   sarama.StringEncoder(fmt.Sprintf("key %d", n)),
			Value: sarama.StringEncoder(fmt.Sprintf("value %d", n)),
		})
		check(err)
	}
	check(producer.Close())

	consumers, err := sarama.NewConsumerGroup([]string{bootstrap}, group, config)
	check(err)
	ctx, done := context.WithCancel(context.Background())
	for ctx.Err() == nil {
		check(consumers.Consume(ctx, []string{topic}, &reader{map[string]bool{}, done}))
	}
	check(consumers.Close())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
