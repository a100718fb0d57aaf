import type { Command } from 'commander';
import type { Config } from '../infra/config.ts';
import type { Log } from '../warehouse/core/log.ts';
import { createOutput, type Output, reportFailure } from './output.ts';

/** What every command gets. */
export interface CommandContext {
  readonly config: Config;
  readonly output: Output;
  readonly log: Log;
  /** Fires at the first Ctrl-C or TERM; a second one ends the process at once. */
  readonly signal: AbortSignal;
}

/** A command's work; a number is its exit code, nothing means 0. */
export type CommandWork<Options> = (
  context: CommandContext,
  options: Options,
  args: readonly string[],
) => Promise<number | undefined>;

/** Registers commands so that all share options, errors and exit codes. */
export interface CommandHost {
  readonly program: Command;
  /** Wraps work as a commander action. */
  readonly action: <Options>(
    work: CommandWork<Options>,
    /** `isNew`: the command makes the project, so there need not be one yet. */
    project?: { readonly isNew?: boolean },
  ) => (...values: unknown[]) => Promise<void>;
}

export interface GlobalOptions {
  readonly project: string;
  readonly json?: boolean;
  /** False with --no-cache. */
  readonly cache?: boolean;
  readonly logLevel?: Config['logLevel'];
}

export function createCommandHost(program: Command, setExitCode: (code: number) => void): CommandHost {
  return {
    program,
    action: (work, project) => {
      return async (...values) => {
        const command = values.at(-1) as Command;
        // Not optsWithGlobals(): there an option of `demo` would win over the one of the same name of `demo evolve`.
        const options = { ...program.opts(), ...command.opts() } as GlobalOptions;
        const json = options.json === true;
        const stop = listenForInterrupt();
        let debug = options.logLevel === 'debug' || options.logLevel === 'trace';
        try {
          // The help needs neither.
          const { loadConfig } = await import('../infra/config.ts');
          const { createLog } = await import('../warehouse/core/log.ts');
          const config = loadConfig(options.project, undefined, { ...project, compileCache: options.cache !== false });
          const level = options.logLevel ?? config.logLevel;
          debug = level === 'debug' || level === 'trace';
          const context: CommandContext = {
            config,
            output: createOutput({ json }),
            log: createLog({ level }),
            signal: stop.signal,
          };
          setExitCode(
            (await work(
              context,
              options as never,
              command.processedArgs.flat().filter((arg) => typeof arg === 'string'),
            )) ?? 0,
          );
        } catch (error) {
          setExitCode(reportFailure(error, { json, debug }));
        } finally {
          stop.dispose();
        }
      };
    },
  };
}

function listenForInterrupt(): { signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    process.stderr.write('\nstopping … (press Ctrl-C again to end at once; nothing half-written is ever visible)\n');
    controller.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    dispose: () => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}
