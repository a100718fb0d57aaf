import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mapSystemError, SluiceError } from '../../core/errors.ts';
import { gatherSite, type SiteInput } from './site-data.ts';

/** The site as files that a browser opens from disk: data are scripts, because a page from disk may not fetch. */

const BROWSER_DIR = fileURLToPath(new URL('./browser/', import.meta.url));
/** Pages in one file of data: a few hundred KB at most. */
const PAGES_PER_FILE = 40;
const MARK = 'sluice-docs.txt';

export interface WrittenSite {
  readonly index: string;
  readonly models: number;
  readonly sources: number;
  readonly files: number;
}

/** Writes the site into a folder that is new, empty, or holds an earlier site. Errors: USAGE, or the disk's own. */
export async function writeSite(dir: string, input: SiteInput, title: string): Promise<WrittenSite> {
  const data = gatherSite(input);
  try {
    await requireOwnFolder(dir);
    await rm(join(dir, 'data'), { recursive: true, force: true });
    await mkdir(join(dir, 'data'), { recursive: true });
    await cp(BROWSER_DIR, dir, { recursive: true });
    await writeFile(join(dir, MARK), 'Written by sluice docs; written anew each time.\n');
    const { pages, ...index } = data;
    const head = { title, generatedAt: input.generatedAt, pagesPerFile: PAGES_PER_FILE };
    await writeFile(join(dir, 'data', 'index.js'), `sluiceDocs.index = ${toScript({ ...head, ...index })};\n`);
    let files = 0;
    for (let from = 0; from < pages.length; from += PAGES_PER_FILE) {
      const chunk = pages.slice(from, from + PAGES_PER_FILE);
      await writeFile(join(dir, 'data', `pages-${files}.js`), `sluiceDocs.provide(${files}, ${toScript(chunk)});\n`);
      files += 1;
    }
    const sources = data.nodes.filter((node) => node.kind === 'source').length;
    return { index: join(dir, 'index.html'), models: data.nodes.length - sources, sources, files };
  } catch (error) {
    throw mapSystemError(error, `The site in ${dir}`) ?? error;
  }
}

/** JSON as a script: no text of it can end the script or begin a comment. */
function toScript(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll('<', '\\u003c')
    .replaceAll('\u2028', '\\u2028')
    .replaceAll('\u2029', '\\u2029');
}

async function requireOwnFolder(dir: string): Promise<void> {
  const names = await readdir(dir).catch((error: unknown): readonly string[] => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  });
  if (names.length === 0 || names.includes(MARK)) return;
  throw new SluiceError('USAGE', `The folder ${dir} holds other files, which the site would mix with.`, {
    remedy: 'Name a folder that is new or empty: sluice docs --out DIR.',
  });
}
