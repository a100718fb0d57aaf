import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CONFIG_OPTIONS } from '../infra/config.ts';

/** The files a project begins with. What is there already stays as it is; every file gets its name only when it is whole. */

export interface WrittenFiles {
  /** Relative to the project. */
  readonly created: readonly string[];
  readonly kept: readonly string[];
}

/** Folders, .gitignore, .env.example and package.json of a project; with `sources` to come, models/sources is theirs. */
export async function createSkeleton(dir: string, options: { readonly sources: boolean }): Promise<WrittenFiles> {
  const created: string[] = [];
  const kept: string[] = [];
  const files: Readonly<Record<string, string>> = {
    ...(options.sources ? {} : { 'models/sources/.gitkeep': '' }),
    'sql/silver/.gitkeep': '',
    'sql/gold/.gitkeep': '',
    '.env.example': exampleOptions(),
    // The sources are ES modules; inside another package that one's package.json decides.
    ...(hasPackage(dir) ? {} : { 'package.json': `${JSON.stringify({ private: true, type: 'module' }, null, 2)}\n` }),
  };
  for (const [path, text] of Object.entries(files)) {
    // A folder that holds something needs no mark to stay in git.
    const isThere = path.endsWith('.gitkeep') ? existsSync(dirname(join(dir, path))) : existsSync(join(dir, path));
    if (!isThere) await writeNew(join(dir, path), text);
    (isThere ? kept : created).push(path);
  }
  const ignored = await ignore(dir, ['.sluice/', '.env']);
  (ignored ? created : kept).push('.gitignore');
  return { created, kept };
}

function hasPackage(dir: string): boolean {
  return existsSync(join(dir, 'package.json')) || (dirname(dir) !== dir && hasPackage(dirname(dir)));
}

/** Adds lines to .gitignore that it lacks; false when it lacked none. */
async function ignore(dir: string, lines: readonly string[]): Promise<boolean> {
  const path = join(dir, '.gitignore');
  const text = existsSync(path) ? await readFile(path, 'utf8') : '';
  const known = new Set(text.split(/\r?\n/).map((line) => line.trim()));
  const missing = lines.filter(
    (line) => !known.has(line) && !known.has(`/${line}`) && !known.has(line.replace(/\/$/, '')),
  );
  if (missing.length === 0) return false;
  const start = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  await replaceFile(path, `${start}${missing.join('\n')}\n`);
  return true;
}

function exampleOptions(): string {
  const lines = Object.entries(CONFIG_OPTIONS).flatMap(([name, option]) => [
    `# ${option.describe}`,
    `#${name}=${option.default ?? ''}`,
    '',
  ]);
  return [
    '# Options of Sluice. Copy to .env, which git does not see, and take away the # of what you set.',
    '',
    ...lines,
  ].join('\n');
}

/**
 * The project's .env with the source's URL and a fresh secret for masks, readable by its owner only. False where there is an .env already: it is
 * its owner's, and nothing is changed in it.
 */
export async function createEnvironment(dir: string, options: { readonly url: string }): Promise<boolean> {
  const path = join(dir, '.env');
  if (existsSync(path)) return false;
  const quote = ["'", '"', '`'].find((mark) => !options.url.includes(mark)) ?? '';
  const secret = randomBytes(32).toString('base64url');
  await writeNew(path, `SLUICE_SOURCE_URL=${quote}${options.url}${quote}\nSLUICE_MASK_SECRET=${secret}\n`, 0o600);
  return true;
}

/** Puts a file in its place at once, over what is there. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await draft(path, text, 0o666, (from) => rename(from, path));
}

async function writeNew(path: string, text: string, mode = 0o666): Promise<void> {
  await draft(path, text, mode, (from) => link(from, path));
}

async function draft(path: string, text: string, mode: number, place: (from: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const from = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  try {
    await writeFile(from, text, { mode, flag: 'wx' });
    await place(from);
  } finally {
    await rm(from, { force: true });
  }
}
