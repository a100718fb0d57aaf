import type { Command } from 'commander';

/** `--select` and `--exclude` of every command that chooses models. */
export function addSelectionOptions(command: Command): Command {
  return command
    .option(
      '--select <selector...>',
      'only these models: name, gold.fct_*, +name (with what it reads), name+ (with what reads it), 2+name+1, @name, tag:NAME, path:FOLDER, layer:, domain:, materialized:, source:, changed; a,b for what is both',
    )
    .option('--exclude <selector...>', 'but not these; the same words');
}
