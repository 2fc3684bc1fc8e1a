package org.apache.kafka.common.test.junit;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import kafka.server.ControllerServer;
import kafka.server.KafkaBroker;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.test.ClusterInstance;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.Type;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.server.fault.FaultHandlerException;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.Extension;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;

/**
 * Stands in for Apache Kafka's class of this name: the cluster of a test is one Tidelog broker.
 *
 * Tests for which that cannot do are skipped: those of TLS, SASL and access rules, and a second run of
 * the same test with the controller in a process of its own. What looks into the objects of a broker
 * finds none.
 */
public class RaftClusterInvocationContext implements TestTemplateInvocationContext {
    private final String name;
    private final ClusterConfig config;
    private final Tidelog cluster;

    public RaftClusterInvocationContext(String name, ClusterConfig config, boolean isCombined) {
        this.name = name;
        this.config = config;
        this.cluster = new Tidelog(config, isCombined ? Type.CO_KRAFT : Type.KRAFT);
    }

    @Override
    public String getDisplayName(int index) {
        return name + " [" + index + "]";
    }

    @Override
    public List<Extension> getAdditionalExtensions() {
        BeforeEachCallback start = context -> {
            Assumptions.assumeTrue(config.brokerSecurityProtocol() == SecurityProtocol.PLAINTEXT, "needs TLS or SASL");
            Assumptions.assumeFalse(config.serverProperties().containsKey("authorizer.class.name"), "needs access rules");
            Set<Type> types = config.clusterTypes();
            boolean again = types.size() > 1 && cluster.type() != Type.CO_KRAFT;
            Assumptions.assumeFalse(again, "the same test in another process layout");
            if (config.isAutoStart()) {
                cluster.start();
            }
        };
        AfterEachCallback stop = context -> cluster.stop();
        return List.of(stop, start, new ClusterInstanceParameterResolver(cluster));
    }

    private static final class Tidelog implements ClusterInstance {
        private static final Set<String> SETTINGS = Set.of(System.getProperty("tidelog.settings").split(","));
        private static final int NODE = 0;
        private final ClusterConfig config;
        private final Type type;
        private int port;
        private Path directory;
        private Process process;
        private boolean stopped;

        Tidelog(ClusterConfig config, Type type) {
            this.config = config;
            this.type = type;
        }

        @Override
        public synchronized void start() {
            if (started()) {
                return;
            }
            try (ServerSocket free = new ServerSocket(0)) {
                port = free.getLocalPort();
                directory = Files.createTempDirectory("tidelog-");
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
            startBroker(NODE);
        }

        @Override
        public synchronized void startBroker(int id) {
            Map<String, String> settings = new TreeMap<>(config.serverProperties());
            settings.putAll(config.perServerOverrideProperties().getOrDefault(NODE, Map.of()));
            settings.keySet().retainAll(SETTINGS);
            settings.put("node.id", String.valueOf(NODE));
            List<String> command = new ArrayList<>(List.of(System.getProperty("tidelog.python"), "-m", "tidelog.api.cli", "serve"));
            command.addAll(List.of("--data-dir", directory.resolve("data").toString()));
            command.addAll(List.of("--http", "127.0.0.1:0", "--kafka", "127.0.0.1:" + port, "--log-level", "warning"));
            settings.forEach((key, value) -> command.addAll(List.of("--set", key + "=" + value)));
            File log = new File(System.getProperty("tidelog.log"));
            try {
                process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.appendTo(log)).start();
                BufferedReader said = process.inputReader();
                if (said.readLine() == null) {
                    throw new IllegalStateException("the broker did not start: " + command);
                }
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        }

        @Override
        public synchronized void shutdownBroker(int id) {
            process.destroy();
            try {
                process.waitFor();
            } catch (InterruptedException error) {
                process.destroyForcibly();
            }
        }

        @Override
        public synchronized void stop() {
            if (started() && !stopped) {
                stopped = true;
                shutdownBroker(NODE);
                try {
                    Utils.delete(directory.toFile());
                } catch (IOException error) {
                    throw new IllegalStateException(error);
                }
            }
        }

        @Override
        public boolean started() {
            return process != null;
        }

        @Override
        public boolean stopped() {
            return stopped;
        }

        @Override
        public void waitForReadyBrokers() {
        }

        @Override
        public String bootstrapServers() {
            return "127.0.0.1:" + port;
        }

        @Override
        public String bootstrapControllers() {
            return bootstrapServers();
        }

        @Override
        public List<Integer> brokerBoundPorts() {
            return List.of(port);
        }

        @Override
        public String clusterId() {
            try (Admin admin = admin()) {
                return admin.describeCluster().clusterId().get();
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        }

        @Override
        public Type type() {
            return type;
        }

        @Override
        public ClusterConfig config() {
            return config;
        }

        @Override
        public Map<Integer, KafkaBroker> brokers() {
            return Map.of();
        }

        @Override
        public Map<Integer, ControllerServer> controllers() {
            return Map.of();
        }

        @Override
        public Set<Integer> brokerIds() {
            return Set.of(NODE);
        }

        @Override
        public Set<Integer> controllerIds() {
            return Set.of(NODE);
        }

        @Override
        public ListenerName clientListener() {
            return config.brokerListenerName();
        }

        @Override
        public ListenerName controllerListenerName() {
            return config.controllerListenerName();
        }

        @Override
        public Optional<FaultHandlerException> firstFatalException() {
            return Optional.empty();
        }

        @Override
        public Optional<FaultHandlerException> firstNonFatalException() {
            return Optional.empty();
        }
    }
}
