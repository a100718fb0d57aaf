import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type CopyChunk, createCopyText } from './copy-text.ts';
import type { Entity } from './entity.ts';
import { peopleThrough } from './people.ts';
import { orgEntities, type World } from './world.ts';

/**
 * The generator runs in a thread of its own, so that Postgres loads what is made while the next is being made. It waits
 * while this many chunks are on their way: memory is the same at every scale.
 */
const CHUNKS_AHEAD = 16;
/** Most of what is made lives as long as one user's rows; room for that spares two thirds of the garbage collector's time. */
const YOUNG_GENERATION_MB = 96;

interface Task {
  readonly kind: 'sluice-demo-generator';
  readonly world: World;
  /** Count of chunks on their way. */
  readonly ahead: SharedArrayBuffer;
}

/** All rows of the world at its epoch, as chunks for COPY. */
export async function* generateChunks(world: World): AsyncGenerator<CopyChunk> {
  const ahead = new Int32Array(new SharedArrayBuffer(4));
  const task: Task = { kind: 'sluice-demo-generator', world, ahead: ahead.buffer };
  const worker = new Worker(new URL(import.meta.url), {
    workerData: task,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
  const ready: CopyChunk[] = [];
  let isFinished = false;
  let failure: unknown;
  let news = Promise.withResolvers<void>();
  worker.on('message', (chunk: CopyChunk) => {
    ready.push(chunk);
    news.resolve();
  });
  worker.on('error', (error) => {
    failure = error;
    news.resolve();
  });
  worker.on('exit', () => {
    isFinished = true;
    news.resolve();
  });
  try {
    while (true) {
      if (failure !== undefined) throw failure;
      const chunk = ready.shift();
      if (chunk !== undefined) {
        yield chunk;
        Atomics.sub(ahead, 0, 1);
        Atomics.notify(ahead, 0);
      } else if (isFinished) {
        return;
      } else {
        await news.promise;
        news = Promise.withResolvers<void>();
      }
    }
  } finally {
    if (!isFinished) {
      const ended = once(worker, 'exit');
      await worker.terminate();
      await ended.catch(() => undefined);
    }
  }
}

function isTask(data: unknown): data is Task {
  return typeof data === 'object' && data !== null && 'kind' in data && data.kind === 'sluice-demo-generator';
}

function generate({ world, ahead }: Task): void {
  const counter = new Int32Array(ahead);
  const text = createCopyText((chunk) => {
    for (let count = Atomics.load(counter, 0); count >= CHUNKS_AHEAD; count = Atomics.load(counter, 0)) {
      Atomics.wait(counter, 0, count);
    }
    Atomics.add(counter, 0, 1);
    parentPort?.postMessage(chunk, [chunk.bytes.buffer]);
  });
  const add = (entity: Entity): void => {
    const row = entity.at(world.epoch);
    if (row !== undefined) text.add(entity.table, row);
  };
  orgEntities(world).forEach(add);
  for (const { entities } of peopleThrough(world, world.epoch)) entities.forEach(add);
  text.finish();
}

if (!isMainThread && isTask(workerData)) generate(workerData);
