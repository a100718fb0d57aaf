import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NativeConnection } from '@temporalio/worker';
import type { EltActivities, ServerActivities } from '../../activities/contract.ts';
import { createWorkerActivities } from '../../infra/temporal-activities.ts';
import { connectTemporal, type TemporalClient } from '../../infra/temporal-connection.ts';
import { ensureSearchAttributes } from '../../infra/temporal-search-attributes.ts';
import { bundleWorkflows, createHostQueue, installRuntime, serve } from '../../infra/temporal-worker.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts';

export const log = createLog({ level: 'silent' });

/** The workflows with the short patience of quick-policies.cjs. */
export async function bundleQuickly(): Promise<{ readonly code: string }> {
  const loader = fileURLToPath(new URL('quick-policies.cjs', import.meta.url));
  return bundleWorkflows((config) => ({
    ...config,
    module: {
      ...config.module,
      rules: [...(config.module?.rules ?? []), { test: /temporal\.config\.ts$/, enforce: 'pre', use: [loader] }],
    },
  }));
}

/** The workflows in a file, for workers that are processes of their own. */
export async function writeBundle(
  patience: 'quick' | 'real',
): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bundle-'));
  const path = join(dir, 'workflows.js');
  await writeFile(path, (await (patience === 'quick' ? bundleQuickly() : bundleWorkflows())).code);
  return { path, remove: () => rm(dir, { recursive: true, force: true }) };
}

export interface ScriptedServer {
  readonly server: TestTemporal;
  readonly temporal: TemporalClient;
  /** What the worker does from now on. */
  readonly use: (steps: Partial<EltActivities & ServerActivities>) => void;
  readonly close: () => Promise<void>;
}

/** A server with one worker in this process, whose steps a test decides. */
export async function startScripted(): Promise<ScriptedServer> {
  const [server, workflowBundle] = await Promise.all([startTestTemporal(), bundleQuickly()]);
  const config = { temporalEnvironment: server.environment, temporalUi: 'http://127.0.0.1:8233' };
  await ensureSearchAttributes(config);
  const temporal = await connectTemporal(config);
  installRuntime(log);
  const connection = await NativeConnection.connect({ address: server.address });
  const refuse = async (): Promise<never> => {
    throw new Error('the test did not say what this step does');
  };
  const usual: EltActivities & ServerActivities = {
    prepare: async ({ asOf, sources }) => ({ asOf: asOf ?? '2026-06-30', sources: sources ?? ['shop'] }),
    backfillSlice: refuse,
    extract: refuse,
    openBuild: refuse,
    runModels: refuse,
    runTests: refuse,
    publish: refuse,
    abortBuild: refuse,
  };
  let current = usual;
  const hostQueue = createHostQueue();
  const stop = new AbortController();
  const activities = createWorkerActivities({ createSteps: () => current, hostQueue, log, stopping: stop.signal });
  const ready = Promise.withResolvers<void>();
  const serving = serve(
    { connection, namespace: 'default', activities, hostQueue, workflowBundle, log, signal: stop.signal },
    ready.resolve,
  );
  serving.catch(ready.reject);
  await ready.promise;
  return {
    server,
    temporal,
    use: (steps) => {
      current = { ...usual, ...steps };
    },
    close: async () => {
      stop.abort();
      await serving;
      await connection.close();
      await temporal.close();
      await server.close();
    },
  };
}
