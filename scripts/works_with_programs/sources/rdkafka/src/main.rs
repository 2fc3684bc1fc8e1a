//! Writes a hundred records and reads them as a group: rust-rdkafka.

use std::collections::HashSet;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, bootstrap, topic, group] = arguments.as_slice() else { panic!("three arguments") };
    let mut address = ClientConfig::new();
    address.set("bootstrap.servers", bootstrap);

    let producer: FutureProducer = address.create().unwrap();
    for n in 0..100 {
        let (key, value) = (format!("key {n}"), format!("value {n}"));
        let record = FutureRecord::to(topic).key(&key).payload(&value);
        producer.send(record, Duration::from_secs(60)).await.unwrap();
    }

    let consumer: StreamConsumer = address
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let mut seen = HashSet::new();
    while seen.len() < 100 {
        let message = consumer.recv().await.unwrap();
        seen.insert(message.payload().unwrap().to_vec());
    }
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
}
