import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { z } from 'zod';
import type { Config } from '../../infra/config.ts';
import { openProject, type Project } from '../../infra/project.ts';
import { runProject } from '../../infra/run-project.ts';
import { createApp, createTokenVerifier, listen, type RefreshHook } from '../../service/index.ts';
import { messageOf, SluiceError } from '../../warehouse/core/errors.ts';
import { followReleases, openServing } from '../../warehouse/serve/index.ts';
import type { CommandHost } from '../context.ts';
import { readJwtSecret } from '../jwt-secret.ts';

const optionsSchema = z.object({
  host: z.string().min(1).optional(),
  port: z.coerce.number().int().min(0).max(65_535).optional(),
  pollMs: z.coerce.number().int().min(50).max(3_600_000),
});

export function registerServe({ program, action }: CommandHost): void {
  program
    .command('serve')
    .summary('serve gold over HTTP, each caller only their own rows')
    .description(
      'Serves the datasets of the current release to bearers of a token (`sluice token`), and each new release as soon as it is published. Stops on Ctrl-C after the requests that run.',
    )
    .option('--host <address>', 'address to listen on (default: SLUICE_SERVE_HOST)')
    .option('--port <port>', 'port to listen on, 0 for a free one (default: SLUICE_SERVE_PORT)')
    .option('--poll-ms <ms>', 'how often to look for a new release', '2000')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice serve\n  $ sluice serve --port 9000\n  $ curl -H "Authorization: Bearer $(sluice token --sub 1 --org 1)" http://127.0.0.1:8787/api/analytics/datasets',
    )
    .action(
      action(async ({ config, output, log, signal }, options) => {
        const parsed = optionsSchema.safeParse(options);
        if (!parsed.success) {
          const issue = parsed.error.issues[0];
          throw new SluiceError('USAGE', `serve: --${String(issue?.path[0])} ${issue?.message ?? 'is wrong'}.`, {
            remedy: 'sluice serve --help shows the options.',
          });
        }
        const host = parsed.data.host ?? config.serve.host;
        assertSecretFits(config, host);
        const project = openProject(config, log);
        if ((await project.releases.current()) === undefined) {
          throw new SluiceError('NO_RELEASE', 'There is no release to serve.', {
            remedy: 'sluice run makes the first; sluice demo does so with demo data.',
          });
        }
        const serving = await openServing({
          log,
          limits: { timeoutMs: config.serve.queryTimeoutMs, memoryMb: config.serve.queryMemoryMb },
        });
        const following = followReleases({ serving, releases: project.releases, intervalMs: parsed.data.pollMs, log });
        try {
          await following.look();
          const app = createApp({
            serving,
            verifyToken: createTokenVerifier({ secret: await readJwtSecret(config) }),
            log,
            refresh: createRefresh(project, signal),
          });
          const listening = await listen({ app, host, port: parsed.data.port ?? config.serve.port });
          const release = serving.release();
          output.result({
            url: listening.url,
            release: release.number,
            as_of: release.asOf,
            datasets: serving.datasets().map((dataset) => dataset.id),
          });
          output.line(`Serving release ${release.number} (as of ${release.asOf}) at ${listening.url}`);
          output.line(
            `  curl -H "Authorization: Bearer $(npx sluice token --sub 1 --org 1)" ${listening.url}/api/analytics/datasets`,
          );
          output.line('Ctrl-C stops it.');
          if (!signal.aborted) await once(signal, 'abort');
          await listening.close();
        } finally {
          await following.stop();
          await serving.close();
        }
        return undefined;
      }),
    );
}

/** The development secret is known to whoever reads the project folder: it must not guard a public address. */
function assertSecretFits(config: Config, host: string): void {
  if (config.jwtSecret !== undefined || ['127.0.0.1', '::1', 'localhost'].includes(host)) return;
  throw new SluiceError('CONFIG_INVALID', `The service would listen on ${host} with the development secret.`, {
    remedy: 'Set SLUICE_JWT_SECRET to a random text of at least 32 characters, or listen on 127.0.0.1.',
  });
}

/** Runs the pipeline in the background, one run at a time; readers keep the release they have until the new one is published. */
function createRefresh(project: Project, signal: AbortSignal): RefreshHook {
  let running: { readonly id: string } | undefined;
  return {
    roles: ['admin'],
    start: async () => {
      if (running !== undefined) return { id: running.id, state: 'already_running' };
      const { id } = (running = { id: randomUUID() });
      runProject(project, { steps: 'all' }, { signal })
        .then((result) => project.log.info({ refresh: id, release: result.release?.number }, 'refresh done'))
        .catch((error: unknown) =>
          project.log.error({ refresh: id, error: messageOf(error) }, 'refresh failed; the last release stands'),
        )
        .finally(() => {
          running = undefined;
        });
      return { id, state: 'started' };
    },
  };
}
