/** Thrift's compact protocol, as far as Parquet's metadata needs it: written once per page and per file, never per value. */

const TRUE = 1;
const FALSE = 2;
const I8 = 3;
const I16 = 4;
const I32 = 5;
const I64 = 6;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

/** Writes the fields of one struct, in ascending order of their numbers; `finish` ends it. */
export class ThriftWriter {
  #bytes = Buffer.allocUnsafe(256);
  #used = 0;
  #last = 0;

  bool(field: number, value: boolean): this {
    this.#head(field, value ? TRUE : FALSE);
    return this;
  }

  i8(field: number, value: number): this {
    this.#head(field, I8);
    this.#byte(value & 0xff);
    return this;
  }

  i16(field: number, value: number): this {
    this.#head(field, I16);
    return this.#zigzag(value);
  }

  i32(field: number, value: number): this {
    this.#head(field, I32);
    return this.#zigzag(value);
  }

  i64(field: number, value: number): this {
    this.#head(field, I64);
    return this.#zigzag(value);
  }

  binary(field: number, value: Uint8Array | string): this {
    this.#head(field, BINARY);
    return this.#binary(value);
  }

  struct(field: number, write: (writer: this) => void): this {
    this.#head(field, STRUCT);
    return this.#body(() => write(this));
  }

  structs<T>(field: number, items: readonly T[], write: (writer: this, item: T) => void): this {
    this.#list(field, STRUCT, items.length);
    for (const item of items) this.#body(() => write(this, item));
    return this;
  }

  i32s(field: number, values: readonly number[]): this {
    this.#list(field, I32, values.length);
    for (const value of values) this.#zigzag(value);
    return this;
  }

  i64s(field: number, values: readonly number[]): this {
    this.#list(field, I64, values.length);
    for (const value of values) this.#zigzag(value);
    return this;
  }

  binaries(field: number, values: readonly (Uint8Array | string)[]): this {
    this.#list(field, BINARY, values.length);
    for (const value of values) this.#binary(value);
    return this;
  }

  bools(field: number, values: readonly boolean[]): this {
    this.#list(field, TRUE, values.length);
    for (const value of values) this.#byte(value ? TRUE : FALSE);
    return this;
  }

  /** The struct's bytes; the writer is then ready for another struct. */
  finish(): Buffer {
    this.#byte(0);
    const bytes = Buffer.from(this.#bytes.subarray(0, this.#used));
    this.#used = 0;
    this.#last = 0;
    return bytes;
  }

  #body(write: () => void): this {
    const last = this.#last;
    this.#last = 0;
    write();
    this.#byte(0);
    this.#last = last;
    return this;
  }

  #head(field: number, type: number): void {
    const delta = field - this.#last;
    if (delta <= 0) throw new Error(`thrift: field ${field} after field ${this.#last}`);
    if (delta < 16) {
      this.#byte((delta << 4) | type);
    } else {
      this.#byte(type);
      this.#zigzag(field);
    }
    this.#last = field;
  }

  #list(field: number, type: number, length: number): void {
    this.#head(field, LIST);
    if (length < 15) {
      this.#byte((length << 4) | type);
    } else {
      this.#byte(0xf0 | type);
      this.#varint(length);
    }
  }

  #binary(value: Uint8Array | string): this {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    this.#varint(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#used);
    this.#used += bytes.length;
    return this;
  }

  /** Numbers are counts, sizes and places: up to 2^52 they are exact. */
  #zigzag(value: number): this {
    this.#varint(value < 0 ? -2 * value - 1 : 2 * value);
    return this;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.#byte((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    this.#byte(rest);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#used++] = value;
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#used + bytes, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = grown;
  }
}
