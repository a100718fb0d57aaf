import { randomUUID } from 'node:crypto';
import type { Project } from '../infra/project.ts';
import { isSluiceError } from '../warehouse/core/errors.ts';
import type { ObjectStore } from '../warehouse/core/object-store.ts';
import { checkFolder } from './doctor-checks.ts';
import type { Outcome } from './doctor-findings.ts';

/** A folder is tried by making it, a lake in S3 by the one thing that every commit rests on: to create an object, and to be refused when it is there. */
export async function checkLake({ config, store }: Project): Promise<Outcome> {
  if (config.lake.kind === 'folder') return checkFolder(config.lake.dir, 'SLUICE_LAKE');
  for await (const _object of store.list('')) break;
  const key = `doctor/${randomUUID()}`;
  const refused = await tryWriting(store, key);
  const place = `${store.url}${config.lake.endpoint === undefined ? '' : ` at ${config.lake.endpoint}`}`;
  if (!refused) {
    return {
      status: 'fail',
      detail: `${place}: a second write with If-None-Match: * was taken where 412 was due; two runs at once could overwrite each other’s commits`,
      remedy: 'Use a server with conditional writes (AWS, MinIO, versitygw), and no proxy that drops the header.',
    };
  }
  return { status: 'ok', detail: `${place}: read, written, conditional writes hold, probe removed` };
}

/** Whether the second of two writes was refused. The probe is removed in every case. */
async function tryWriting(store: ObjectStore, key: string): Promise<boolean> {
  let failed = true;
  try {
    await store.putIfAbsent(key, Buffer.from('sluice doctor: the first write'));
    const refused = !(await store.putIfAbsent(key, Buffer.from('sluice doctor: the second write')));
    failed = false;
    return refused;
  } finally {
    // What failed first is what is told.
    await store.delete(key).catch((error: unknown) => {
      if (!failed || !isSluiceError(error)) throw error;
    });
  }
}
