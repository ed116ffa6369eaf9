package io.confluent.connect.s3;

import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.sink.SinkConnector;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;

/**
 * A stand-in for Confluent's S3 sink, which is not on Maven Central: it takes the same configuration and stores nothing.
 * Its task fails where the real one does: when the store does not answer at the start, and at a tombstone.
 */
public class S3SinkConnector extends SinkConnector {
  private static final Object REQUIRED = ConfigDef.NO_DEFAULT_VALUE;
  private Map<String, String> properties;

  @Override
  public void start(Map<String, String> properties) {
    this.properties = properties;
  }

  @Override
  public Class<? extends Task> taskClass() {
    return Writer.class;
  }

  @Override
  public List<Map<String, String>> taskConfigs(int maxTasks) {
    return Collections.nCopies(maxTasks, properties);
  }

  @Override
  public void stop() {}

  @Override
  public ConfigDef config() {
    return new ConfigDef()
        .define("s3.bucket.name", Type.STRING, REQUIRED, Importance.HIGH, "")
        .define("s3.region", Type.STRING, "us-west-2", Importance.MEDIUM, "")
        .define("store.url", Type.STRING, null, Importance.LOW, "")
        .define("aws.access.key.id", Type.STRING, "", Importance.HIGH, "")
        .define("aws.secret.access.key", Type.PASSWORD, "", Importance.HIGH, "")
        .define("flush.size", Type.INT, REQUIRED, Importance.HIGH, "")
        .define("format.class", Type.STRING, REQUIRED, Importance.HIGH, "")
        .define("storage.class", Type.STRING, REQUIRED, Importance.HIGH, "")
        .define("partition.duration.ms", Type.LONG, -1L, Importance.MEDIUM, "")
        .define("behavior.on.null.values", Type.STRING, "fail", ConfigDef.ValidString.in("fail", "ignore", "write"), Importance.LOW, "");
  }

  @Override
  public String version() {
    return "stand-in";
  }

  /** What runs in the worker. */
  public static class Writer extends SinkTask {
    private boolean failsOnNull;

    @Override
    public void start(Map<String, String> properties) {
      failsOnNull = "fail".equals(properties.getOrDefault("behavior.on.null.values", "fail"));
      try {
        HttpURLConnection connection = (HttpURLConnection) URI.create(properties.get("store.url")).toURL().openConnection();
        connection.getResponseCode();
        connection.disconnect();
      } catch (IOException error) {
        throw new ConnectException("Unable to reach the store", error);
      }
    }

    @Override
    public void put(Collection<SinkRecord> records) {
      for (SinkRecord record : records) {
        if (record.value() == null && failsOnNull) {
          throw new ConnectException("Null valued records are not writeable with current behavior.on.null.values 'fail'");
        }
      }
    }

    @Override
    public void stop() {}

    @Override
    public String version() {
      return "stand-in";
    }
  }
}
