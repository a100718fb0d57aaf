import { isScalar, LineCounter, parseDocument, visit } from 'yaml';
import type { z } from 'zod';
import type { Diagnostics } from '../diagnostics.ts';
import { lowerFirst, offsetOfPath, reportIssue } from '../header.ts';
import type { SourceLocation } from '../source-location.ts';
import { locate } from '../source-text.ts';

/** A YAML file of unit tests, checked with every problem at its own line. */

export interface YamlFile<T> {
  readonly value: T;
  readonly at: (...path: readonly (string | number)[]) => SourceLocation;
}

/** Numbers stay as they are written: 12345678901234567890.10 is not a JavaScript number. Problems are UNIT_TEST_INVALID and give undefined. */
export function readYamlFile<T>(
  file: string,
  text: string,
  schema: z.ZodType<T>,
  diagnostics: Diagnostics,
): YamlFile<T> | undefined {
  const document = parseDocument(text, { lineCounter: new LineCounter(), uniqueKeys: true, prettyErrors: false });
  const report = (at: SourceLocation, message: string) =>
    diagnostics.add({ code: 'UNIT_TEST_INVALID', message, at, remedy: REMEDY });
  for (const error of [...document.errors, ...document.warnings]) {
    report(locate(file, text, error.pos[0]), lowerFirst(error.message));
  }
  if (document.errors.length > 0) return undefined;
  visit(document, {
    Scalar: (_, node) => {
      if (isScalar(node) && (typeof node.value === 'number' || typeof node.value === 'bigint')) {
        node.value = node.source ?? String(node.value);
      }
    },
  });
  const at = (...path: readonly (string | number)[]) => locate(file, text, offsetOfPath(document.contents, path) ?? 0);
  const parsed = schema.safeParse(document.toJS({ maxAliasCount: 20 }));
  if (parsed.success) return { value: parsed.data, at };
  for (const issue of parsed.error.issues) {
    reportIssue(issue, [], at, (place, message) => report(place, message.replace(/^the header/, 'the file')));
  }
  return undefined;
}

const REMEDY = 'docs/testing.md shows the fields of a unit test.';
