package jp.ad.sinet.sinetstream.connect.transforms;

import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.transforms.Transformation;

/** A stand-in for SINETStream's transform of this name: takes its configuration and changes nothing. */
public class MicrosecondTimestampConverter {
  /** For the values of records. */
  public static class Value<R extends ConnectRecord<R>> implements Transformation<R> {
    @Override
    public void configure(Map<String, ?> properties) {}

    @Override
    public R apply(R record) {
      return record;
    }

    @Override
    public ConfigDef config() {
      return new ConfigDef()
          .define("field", ConfigDef.Type.STRING, "", ConfigDef.Importance.HIGH, "")
          .define("target.type", ConfigDef.Type.STRING, ConfigDef.NO_DEFAULT_VALUE, ConfigDef.Importance.HIGH, "")
          .define("format", ConfigDef.Type.STRING, "", ConfigDef.Importance.MEDIUM, "");
    }

    @Override
    public void close() {}
  }
}
