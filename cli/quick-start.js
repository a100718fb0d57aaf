import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { enableCompileCache, registerHooks, stripTypeScriptTypes } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';

// Imported for its effect: what Node makes of a module is kept from one start to the next. Compiled code by Node's own cache; TypeScript
// without its types by a hook, for Node 22 strips every file again at every start, which is half of a start's work. Both lie in the user's own
// folder, not in the system's folder for temporary files, where another user could put code for us to run.
const dir = join(homedir(), '.cache', 'sluice', 'code');
/** In milliseconds. */
const DAY = 86_400_000;
try {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  enableCompileCache(join(dir, 'compiled'));
  keepStripped();
} catch {
  // Nowhere to keep it: the start only takes longer.
}

function keepStripped() {
  registerHooks({
    load(url, context, nextLoad) {
      // Where a project's package.json tells no type, or CommonJS, Node finds out by itself what the file is.
      const isModule = context.format === 'module-typescript' && !url.includes('/node_modules/');
      const source = isModule ? strippedText(url) : undefined;
      return source === undefined ? nextLoad(url, context) : { format: 'module', source, shortCircuit: true };
    },
  });
}

/**
 * The file without its types, kept by what is in it: the same file of another project is found too. Undefined where Node shall do it and tell
 * what is wrong.
 * @param {string} url
 */
function strippedText(url) {
  try {
    const text = readFileSync(new URL(url), 'utf8');
    const key = createHash('sha256').update(process.version).update(text).digest('hex');
    const kept = join(dir, key);
    // At the end, where it moves no line and a file that was cut short has none.
    const mark = `\n//${key}`;
    const found = readOrNothing(kept);
    if (found?.endsWith(mark) === true) return found;
    const stripped = `${strip(text)}${mark}`;
    const draft = `${kept}.${process.pid}.${threadId}`;
    writeFileSync(draft, stripped, { mode: 0o600 });
    renameSync(draft, kept);
    forgetOld();
    return stripped;
  } catch {
    return undefined;
  }
}

/** Looked for once a day, when something new is kept. What is older and still used is made again by the next start. */
function forgetOld() {
  const looked = join(dir, 'looked-for-old');
  const now = Date.now();
  if (now - (statSync(looked, { throwIfNoEntry: false })?.mtimeMs ?? 0) < DAY) return;
  writeFileSync(looked, '', { mode: 0o600 });
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const modified = entry.isFile() ? statSync(path, { throwIfNoEntry: false })?.mtimeMs : undefined;
    if (modified !== undefined && now - modified > 30 * DAY) rmSync(path, { force: true });
  }
}

/** @param {string} path */
function readOrNothing(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Without the warning that the function is experimental: running TypeScript as it is uses the same one.
 * @param {string} text
 */
function strip(text) {
  const own = Object.getOwnPropertyDescriptor(process, 'emitWarning');
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(text);
  } finally {
    if (own === undefined) Reflect.deleteProperty(process, 'emitWarning');
    else Object.defineProperty(process, 'emitWarning', own);
  }
}
