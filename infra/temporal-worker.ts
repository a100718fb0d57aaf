import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { extname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, type NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { TASK_QUEUE, WORKER } from '../temporal.config.ts';
import { messageOf } from '../warehouse/core/errors.ts';
import type { Log } from '../warehouse/core/log.ts';
import { prepareRun } from './prepare-run.ts';
import { type Project, withSource } from './project.ts';
import { openProjectSteps } from './project-steps.ts';
import { createWorkerActivities, type WorkerActivities, type WorkerSteps } from './temporal-activities.ts';
import { connectWorker } from './temporal-connection.ts';
import { ensureSearchAttributes } from './temporal-search-attributes.ts';
import { openWorkFolder } from './work-folder.ts';

export interface WorkerOptions {
  readonly signal: AbortSignal;
  /** Called when tasks can come. */
  readonly onReady?: (ready: { readonly address: string; readonly namespace: string; readonly queue: string }) => void;
  /** Workflow code bundled before; bundled now when absent. */
  readonly bundlePath?: string;
  /** Wraps the steps; tests make them fail or die here. */
  readonly wrap?: (steps: WorkerSteps, signal: AbortSignal) => WorkerSteps;
}

/** Serves the project's runs until the signal fires; then ends what can be ended within the grace time and hands the rest back. */
export async function runWorker(project: Project, options: WorkerOptions): Promise<void> {
  const { config, log } = project;
  installRuntime(log);
  const { connection, address, namespace } = await connectWorker(config);
  const work = await openWorkFolder(config);
  try {
    await ensureSearchAttributes(config);
    const steps = await openProjectSteps(project, work.dir);
    const hostQueue = createHostQueue();
    const activities = createWorkerActivities({
      hostQueue,
      log,
      stopping: options.signal,
      onIdle: async () => project.store.releaseLocalFiles?.(),
      createSteps: ({ signal, onProgress }) => {
        const forUrl = (sourceUrl: string) => steps.forScope({ signal, onProgress, sourceUrl });
        const own: WorkerSteps = {
          ...forUrl(''),
          prepare: (request) => prepareRun(project, steps.sources, request),
          extract: (request) => withSource(config, log, (url) => forUrl(url).extract(request), onProgress),
          backfillSlice: (request) => withSource(config, log, (url) => forUrl(url).backfillSlice(request), onProgress),
        };
        return options.wrap?.(own, signal) ?? own;
      },
    });
    const workflowBundle =
      options.bundlePath === undefined ? await bundleWorkflows() : { codePath: options.bundlePath };
    await serve({ connection, namespace, activities, hostQueue, workflowBundle, log, signal: options.signal }, () =>
      options.onReady?.({ address, namespace, queue: TASK_QUEUE }),
    );
  } finally {
    await connection.close().catch(() => undefined);
    await work.remove();
  }
}

export interface ServeOptions {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly activities: WorkerActivities;
  readonly hostQueue: string;
  readonly workflowBundle: { readonly code: string } | { readonly codePath: string };
  readonly log: Log;
  readonly signal: AbortSignal;
}

const SWEEP_INTERVAL_MS = 60_000;

/** Two workers in one process: one for whatever comes, one for the builds that are open here. */
export async function serve(options: ServeOptions, onReady: () => void): Promise<void> {
  const { connection, namespace, activities, hostQueue, log, signal } = options;
  const common = {
    connection,
    namespace,
    maxHeartbeatThrottleInterval: WORKER.maxHeartbeatThrottleIntervalMs,
    shutdownGraceTime: WORKER.shutdownGraceMs,
    shutdownForceTime: WORKER.shutdownForceMs,
  } as const;
  const shared = await Worker.create({
    ...common,
    taskQueue: TASK_QUEUE,
    activities: activities.shared,
    workflowBundle: options.workflowBundle,
    maxCachedWorkflows: WORKER.maxCachedWorkflows,
    stickyQueueScheduleToStartTimeout: WORKER.stickyPatienceMs,
    maxConcurrentActivityTaskExecutions: WORKER.maxSharedSteps,
    // Otherwise a plain error in workflow code repeats its task for ever and the run looks as if it worked.
    workflowFailureErrorTypes: { '*': ['Error'] },
  });
  const host = await Worker.create({
    ...common,
    taskQueue: hostQueue,
    activities: activities.host,
    maxConcurrentActivityTaskExecutions: WORKER.maxHostSteps,
  });
  const workers = [shared, host];
  const end = (worker: Worker): void => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  let isStopping = false;
  const stop = (): void => {
    if (isStopping) return;
    isStopping = true;
    end(shared);
    // The next step of each open build is still taken, to be refused: the run then builds elsewhere without waiting for this host in vain.
    void waitUntil(() => activities.openBuilds() === 0, WORKER.handOverMs).then(() => end(host));
  };
  const sweeping = setInterval(() => {
    activities.sweep(Date.now()).catch((error: unknown) => log.warn({ err: error }, 'sweeping builds failed'));
  }, SWEEP_INTERVAL_MS);
  try {
    const running = workers.map((worker) => worker.run());
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    onReady();
    // One that fails takes the other along: half a worker opens builds that nobody can go on with.
    await Promise.all(running.map((run) => run.finally(stop)));
  } finally {
    clearInterval(sweeping);
    signal.removeEventListener('abort', stop);
  }
}

async function waitUntil(isDone: () => boolean, atMostMs: number): Promise<void> {
  for (const until = Date.now() + atMostMs; !isDone() && Date.now() < until; ) await sleep(100);
}

/** A queue that only this process knows: a restarted worker does not take steps of builds that died with the one before. */
export function createHostQueue(): string {
  return `${TASK_QUEUE}@${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;
}

/** The workflows and all they import, for the sandbox; about a second. */
export async function bundleWorkflows(
  webpackConfigHook?: NonNullable<Parameters<typeof bundleWorkflowCode>[0]['webpackConfigHook']>,
): Promise<{ readonly code: string }> {
  // TypeScript as it stands in the repository, JavaScript where the program was built.
  const pathOf = (name: string): string =>
    fileURLToPath(new URL(`../workflows/${name}${extname(import.meta.url)}`, import.meta.url));
  return bundleWorkflowCode({
    workflowsPath: pathOf('index'),
    payloadConverterPath: pathOf('payload-converter'),
    logger: new DefaultLogger('WARN'),
    ...(webpackConfigHook && { webpackConfigHook }),
  });
}

let installed = false;

/** Once per process. Signals are ours to handle, so that a worker shares them with the command line. */
export function installRuntime(log: Log): void {
  if (installed) return;
  installed = true;
  Runtime.install({ logger: createSdkLogger(log), shutdownSignals: [] });
}

/** What the SDK says, in our log: a failed step has been told by us already, with its code and without a stack. */
function createSdkLogger(log: Log): DefaultLogger {
  const level = log.isLevelEnabled('debug') ? 'DEBUG' : log.isLevelEnabled('info') ? 'INFO' : 'WARN';
  return new DefaultLogger(level, (entry) => {
    const { error, workflowId, activityType, taskQueue } = (entry.meta ?? {}) as Record<string, unknown>;
    const reason = error === undefined ? undefined : messageOf(error);
    const facts = { workflowId, activity: activityType, queue: taskQueue, reason };
    // The host's own worker has none, on purpose.
    if (entry.message.startsWith('No workflows registered')) return;
    if (entry.level === 'ERROR') log.error(facts, entry.message);
    else if (entry.level === 'WARN' && activityType === undefined) log.warn(facts, entry.message);
    else if (entry.level === 'INFO') log.info(facts, entry.message);
    else log.debug(facts, entry.message);
  });
}
