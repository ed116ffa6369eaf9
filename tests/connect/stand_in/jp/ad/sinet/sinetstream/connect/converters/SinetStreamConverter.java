package jp.ad.sinet.sinetstream.connect.converters;

import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.storage.Converter;

/** A stand-in for SINETStream's converter: takes what begins as a message does for whole, refuses the rest. */
public class SinetStreamConverter implements Converter {
  @Override
  public void configure(Map<String, ?> properties, boolean isKey) {}

  @Override
  public byte[] fromConnectData(String topic, Schema schema, Object value) {
    return (byte[]) value;
  }

  @Override
  public SchemaAndValue toConnectData(String topic, byte[] value) {
    if (value == null) {
      return SchemaAndValue.NULL;
    }
    if (value.length <= 10) {
      throw new DataException("Invalid message");
    }
    return new SchemaAndValue(null, Map.of("tstamp", 0L, "msg", value));
  }
}
