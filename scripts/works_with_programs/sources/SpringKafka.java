import java.util.Map;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.KafkaMessageListenerContainer;
import org.springframework.kafka.listener.MessageListener;

/** Copies records to another topic, in capitals: Spring for Apache Kafka. */
class Capitals {
    public static void main(String[] arguments) throws InterruptedException {
        Map<String, Object> address = Map.of("bootstrap.servers", arguments[0]);
        var producers = new DefaultKafkaProducerFactory<String, String>(
            address, new StringSerializer(), new StringSerializer());
        var template = new KafkaTemplate<>(producers);
        var settings = Map.<String, Object>of(
            "bootstrap.servers", arguments[0],
            "group.id", arguments[3],
            "auto.offset.reset", "earliest");
        var consumers = new DefaultKafkaConsumerFactory<String, String>(
            settings, new StringDeserializer(), new StringDeserializer());
        var taken = new ContainerProperties(arguments[1]);
        taken.setMessageListener((MessageListener<String, String>) record ->
            template.send(arguments[2], record.key(), record.value().toUpperCase()));
        var container = new KafkaMessageListenerContainer<>(consumers, taken);
        Runtime.getRuntime().addShutdownHook(new Thread(container::stop));
        container.start();
        Thread.currentThread().join();
    }
}
