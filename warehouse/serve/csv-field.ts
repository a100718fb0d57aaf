/** A value as it stands in JSON, or what a CSV field is made of. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** One field of RFC 4180: NULL is empty, an empty text is "", lists and structs are JSON. Raw values; nothing is defused for spreadsheets. */
export function csvField(value: Json): string {
  if (value === null) return '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
