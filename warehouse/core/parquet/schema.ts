import type { ParquetColumn, ScalarType } from './parquet-type.ts';
import type { ThriftWriter } from './thrift-compact.ts';

/** How columns are described in the file: physical types, and what they stand for, in the old (converted) and the new (logical) way. */

export const PHYSICAL = {
  boolean: 0,
  int32: 1,
  int64: 2,
  float: 4,
  double: 5,
  byteArray: 6,
  fixedLengthByteArray: 7,
} as const;
export type PhysicalType = (typeof PHYSICAL)[keyof typeof PHYSICAL];

const REQUIRED = 0;
const OPTIONAL = 1;
const REPEATED = 2;

const CONVERTED = {
  utf8: 0,
  list: 3,
  decimal: 5,
  date: 6,
  timestampMicros: 10,
  uint32: 13,
  uint64: 14,
  int16: 16,
  json: 19,
} as const;

/** Field numbers of the union LogicalType. */
const LOGICAL = { string: 1, list: 3, decimal: 5, date: 6, time: 7, timestamp: 8, integer: 10, json: 12, uuid: 14 };

interface SchemaElement {
  readonly name: string;
  readonly repetition?: number;
  readonly children?: number;
  readonly scalar?: ScalarType;
  readonly isList?: boolean;
}

/** The values a leaf's type has in the file. */
export function physicalOf(type: ScalarType): PhysicalType {
  switch (type.kind) {
    case 'boolean':
      return PHYSICAL.boolean;
    case 'int16':
    case 'int32':
    case 'uint32':
    case 'date':
      return PHYSICAL.int32;
    case 'int64':
    case 'uint64':
    case 'time':
    case 'timestamp':
      return PHYSICAL.int64;
    case 'float':
      return PHYSICAL.float;
    case 'double':
      return PHYSICAL.double;
    case 'uuid':
      return PHYSICAL.fixedLengthByteArray;
    case 'decimal':
      if (type.precision <= 9) return PHYSICAL.int32;
      return type.precision <= 18 ? PHYSICAL.int64 : PHYSICAL.fixedLengthByteArray;
    case 'string':
    case 'json':
    case 'bytes':
      return PHYSICAL.byteArray;
    default:
      throw new Error(`no such type: ${JSON.stringify(type satisfies never)}`);
  }
}

/** Writes the schema's elements, depth first, as `field` of the footer. */
export function writeSchema(thrift: ThriftWriter, field: number, columns: readonly ParquetColumn[]): void {
  const root: SchemaElement = { name: 'schema', children: columns.length };
  thrift.structs(field, [root, ...columns.flatMap(elementsOf)], writeElement);
}

function elementsOf({ name, type }: ParquetColumn): SchemaElement[] {
  if (type.kind === 'list') {
    return [
      { name, repetition: OPTIONAL, children: 1, isList: true },
      { name: 'list', repetition: REPEATED, children: 1 },
      { name: 'element', repetition: OPTIONAL, scalar: type.element },
    ];
  }
  if (type.kind === 'struct') {
    return [
      { name, repetition: OPTIONAL, children: type.fields.length },
      ...type.fields.map((field) => ({ name: field.name, repetition: REQUIRED, scalar: field.type })),
    ];
  }
  return [{ name, repetition: OPTIONAL, scalar: type }];
}

function writeElement(thrift: ThriftWriter, element: SchemaElement): void {
  const { scalar } = element;
  if (scalar !== undefined) {
    const physical = physicalOf(scalar);
    thrift.i32(1, physical);
    if (physical === PHYSICAL.fixedLengthByteArray) thrift.i32(2, 16);
  }
  if (element.repetition !== undefined) thrift.i32(3, element.repetition);
  thrift.binary(4, element.name);
  if (element.children !== undefined) thrift.i32(5, element.children);
  if (scalar !== undefined) writeMeaning(thrift, scalar);
  if (element.isList === true) {
    thrift.i32(6, CONVERTED.list).struct(10, (logical) => logical.struct(LOGICAL.list, () => undefined));
  }
}

/** The old way is left out where it would say more than is true: TIME_MICROS and TIMESTAMP_MICROS mean UTC. */
function writeMeaning(thrift: ThriftWriter, type: ScalarType): void {
  const logical = (kind: number, write: (writer: ThriftWriter) => void = () => undefined): void => {
    thrift.struct(10, (union) => union.struct(kind, write));
  };
  const micros = (utc: boolean) => (writer: ThriftWriter) => {
    writer.bool(1, utc).struct(2, (unit) => unit.struct(2, () => undefined));
  };
  switch (type.kind) {
    case 'boolean':
    case 'int32':
    case 'int64':
    case 'float':
    case 'double':
    case 'bytes':
      return;
    case 'int16':
      thrift.i32(6, CONVERTED.int16);
      logical(LOGICAL.integer, (writer) => writer.i8(1, 16).bool(2, true));
      return;
    case 'uint32':
      thrift.i32(6, CONVERTED.uint32);
      logical(LOGICAL.integer, (writer) => writer.i8(1, 32).bool(2, false));
      return;
    case 'uint64':
      thrift.i32(6, CONVERTED.uint64);
      logical(LOGICAL.integer, (writer) => writer.i8(1, 64).bool(2, false));
      return;
    case 'date':
      thrift.i32(6, CONVERTED.date);
      logical(LOGICAL.date);
      return;
    case 'time':
      logical(LOGICAL.time, micros(false));
      return;
    case 'timestamp':
      if (type.utc) thrift.i32(6, CONVERTED.timestampMicros);
      logical(LOGICAL.timestamp, micros(type.utc));
      return;
    case 'uuid':
      logical(LOGICAL.uuid);
      return;
    case 'decimal':
      thrift.i32(6, CONVERTED.decimal).i32(7, type.scale).i32(8, type.precision);
      logical(LOGICAL.decimal, (writer) => writer.i32(1, type.scale).i32(2, type.precision));
      return;
    case 'string':
      thrift.i32(6, CONVERTED.utf8);
      logical(LOGICAL.string);
      return;
    case 'json':
      thrift.i32(6, CONVERTED.json);
      logical(LOGICAL.json);
      return;
    default:
      throw new Error(`no such type: ${JSON.stringify(type satisfies never)}`);
  }
}
