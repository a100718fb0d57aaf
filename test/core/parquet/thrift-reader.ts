import { strict as assert } from 'node:assert';

/** A strict reader of Thrift's compact protocol, written from its specification: what it does not know is an error. */

export type ThriftValue = boolean | number | bigint | Buffer | readonly ThriftValue[] | ThriftStruct;
export type ThriftStruct = ReadonlyMap<number, ThriftValue>;

/** Reads one struct at `from`; says where it ends. */
export function readThrift(bytes: Buffer, from: number): { readonly struct: ThriftStruct; readonly end: number } {
  let at = from;
  const byte = (): number => {
    assert.ok(at < bytes.length, 'thrift ends too soon');
    return bytes[at++] as number;
  };
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      assert.ok(shift <= 63n, 'varint is too long');
      const next = byte();
      value |= BigInt(next & 127) << shift;
      if (next < 128) return value;
    }
  };
  const zigzag = (): bigint => {
    const value = varint();
    return (value >> 1n) ^ -(value & 1n);
  };
  const element = (type: number): ThriftValue => {
    if (type === 3) return (byte() << 24) >> 24;
    if (type === 4 || type === 5) return Number(zigzag());
    if (type === 6) return zigzag();
    if (type === 8) {
      const length = Number(varint());
      assert.ok(at + length <= bytes.length, 'binary ends too soon');
      at += length;
      return bytes.subarray(at - length, at);
    }
    if (type === 9) {
      const head = byte();
      const count = head >> 4 === 15 ? Number(varint()) : head >> 4;
      assert.ok(head >> 4 !== 15 || count >= 15, 'a short list in the long form');
      return Array.from({ length: count }, () => {
        if ((head & 15) > 2) return element(head & 15);
        const value = byte();
        assert.ok(value === 1 || value === 2, `boolean ${value}`);
        return value === 1;
      });
    }
    assert.equal(type, 12, `thrift type ${type}`);
    return struct();
  };
  function struct(): ThriftStruct {
    const fields = new Map<number, ThriftValue>();
    let last = 0;
    for (;;) {
      const head = byte();
      if (head === 0) return fields;
      const field = head >> 4 === 0 ? Number(zigzag()) : last + (head >> 4);
      assert.ok(field > last, 'fields out of order');
      last = field;
      const type = head & 15;
      fields.set(field, type === 1 || type === 2 ? type === 1 : element(type));
    }
  }
  return { struct: struct(), end: at };
}

/** The footer of a Parquet file, which must take exactly the bytes it claims. */
export function readFooter(file: Buffer): ThriftStruct {
  assert.equal(file.subarray(0, 4).toString('latin1'), 'PAR1');
  assert.equal(file.subarray(-4).toString('latin1'), 'PAR1');
  const end = file.length - 8;
  const from = end - file.readUInt32LE(end);
  const footer = readThrift(file, from);
  assert.equal(footer.end, end);
  return footer.struct;
}

export const structsOf = (struct: ThriftStruct, field: number): readonly ThriftStruct[] =>
  struct.get(field) as readonly ThriftStruct[];
export const structOf = (struct: ThriftStruct, field: number): ThriftStruct => struct.get(field) as ThriftStruct;
export const numberOf = (struct: ThriftStruct, field: number): number => Number(struct.get(field));
