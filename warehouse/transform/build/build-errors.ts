import { dirname } from 'node:path';
import { messageOf, SluiceError } from '../../core/errors.ts';
import type { TestResult } from '../../core/release.ts';
import type { CompiledModel } from '../model.ts';

/** How a build says what went wrong. */

/** A failure of DuckDB at one model, or outside of any. */
export function buildFailed(subject: string, model: CompiledModel | undefined, cause: unknown): SluiceError {
  const place = model === undefined ? '' : ` (${model.file})`;
  return new SluiceError('BUILD_FAILED', `${subject}${place} failed: ${firstLine(cause)}`, {
    remedy: 'Mend the model or the data it reads and run again; the last release stands as it was.',
    cause,
    details: { subject, ...(model === undefined ? {} : { file: model.file }) },
  });
}

/** True for a test of severity error that failed or could not run: nothing is published then. */
export function holdsBack({ severity, status }: TestResult): boolean {
  return severity === 'error' && (status === 'fail' || status === 'error');
}

/** Throws TESTS_FAILED when a test of severity error failed or could not run. */
export function assertTestsPassed(results: readonly TestResult[]): void {
  const failed = results.filter(holdsBack);
  if (failed.length === 0) return;
  const names = failed.slice(0, 5).map((result) => `${result.name} (${describeFailure(result)})`);
  const more = failed.length > 5 ? ` and ${failed.length - 5} more` : '';
  const kept = failed.find((result) => result.kept !== undefined)?.kept;
  throw new SluiceError(
    'TESTS_FAILED',
    `${failed.length === 1 ? '1 test' : `${failed.length} tests`} failed, nothing was published: ${names.join(', ')}${more}.`,
    {
      remedy: `${kept === undefined ? '' : `The failing rows are kept in ${dirname(kept.path)}. `}Mend the data or the model and run again; the last release stands as it was.${keyRemedy(failed)}`,
      details: { tests: failed },
    },
  );
}

/** "3 rows: id 4, id 8, …", for people. */
function describeFailure({ status, failures, sample, key }: TestResult): string {
  if (status === 'error') return 'could not run';
  const counted = `${failures} ${failures === 1 ? 'row' : 'rows'}`;
  if (key === undefined) return counted;
  const keys = sample.slice(0, SHOWN_KEYS).map((row) => key.map((name) => `${name} ${row[name] ?? 'NULL'}`).join(' '));
  return `${counted}: ${keys.join(', ')}${failures > keys.length ? ', …' : ''}`;
}

const SHOWN_KEYS = 3;

/** A key's own test fails where a SELECT gives several rows of one key. */
function keyRemedy(failed: readonly TestResult[]): string {
  const twice = failed.find(({ name, sample }) => /\.unique\(/.test(name) && sample.length > 0);
  if (twice === undefined) return '';
  return ` ${twice.model} gives several rows of one key: widen \`key\`, or declare which row is kept, e.g. \`winner: updated_at desc, id\`.`;
}

export function firstLine(error: unknown): string {
  return messageOf(error).split('\n')[0] ?? '';
}
