import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/** Loaded before the command where no small disk can be mounted: below SLUICE_TEST_FULL_DISK nothing can be written any more. */

const full = process.env['SLUICE_TEST_FULL_DISK'] ?? '';

function refuse(path: unknown): void {
  if (full !== '' && String(path).startsWith(full)) {
    throw Object.assign(new Error(`ENOSPC: no space left on device, write '${String(path)}'`), { code: 'ENOSPC' });
  }
}

const { copyFile, writeFile, open, link } = fs.promises;
fs.promises.copyFile = async (from, to, mode) => {
  refuse(to);
  return copyFile(from, to, mode);
};
fs.promises.writeFile = async (file, data, options) => {
  refuse(file);
  return writeFile(file, data, options);
};
fs.promises.open = async (path, flags, mode) => {
  if (flags !== undefined && flags !== 'r') refuse(path);
  return open(path, flags, mode);
};
fs.promises.link = async (from, to) => {
  refuse(to);
  return link(from, to);
};
syncBuiltinESMExports();
