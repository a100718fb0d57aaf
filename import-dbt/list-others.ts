import { type Findings } from './findings.ts';
import type { DbtProject } from './read-project.ts';
import type { Properties } from './read-properties.ts';
import { toFields, toItems, toText } from './yaml-file.ts';

/** What a dbt project holds that has no place in Sluice's files: each is listed with what to do instead. */
export function listOthers(project: DbtProject, properties: Properties, findings: Findings): void {
  const leave = (file: string, line: number, subject: string, what: string, remedy: string): void =>
    findings.add({ kind: 'left_out', file, line, subject, what, remedy });
  for (const other of properties.others) {
    const known = OTHERS[other.kind];
    if (known !== undefined) leave(other.file, other.line, `${known.word} ${other.name}`, known.what, known.remedy);
  }
  for (const { file } of project.models.filter((model) => model.file.endsWith('.py'))) {
    leave(
      file,
      1,
      file.split('/').at(-1) ?? file,
      'a Python model',
      'Write it as SQL, or load its result as a source.',
    );
  }
  for (const { file, name } of project.analyses) {
    leave(
      file,
      1,
      name,
      'an analysis: dbt compiles it and never runs it',
      'Keep it where you like; `sluice query` runs SQL.',
    );
  }
  const settings = toFields(project.settings.value);
  for (const word of ['on-run-start', 'on-run-end']) {
    toItems(settings[word]).forEach((hook, i) =>
      leave('dbt_project.yml', project.settings.lineOf(word, i), word, `a hook: ${toText(hook) ?? ''}`, HOOK_REMEDY),
    );
  }
  for (const yaml of project.requirements) {
    toItems(toFields(yaml.value)['packages']).forEach((item, i) => {
      const fields = toFields(item);
      const name = toText(fields['package']) ?? toText(fields['git']) ?? toText(fields['local']) ?? 'a package';
      leave(
        yaml.file,
        yaml.lineOf('packages', i),
        name,
        'a package: its macros are expanded where you call them, its models are not carried',
        'Import the package’s own folder as well if you need its models.',
      );
    });
  }
  for (const [name, source] of properties.sources) {
    const freshness = source.fields['freshness'] ?? source.config['freshness'];
    if (toFields(freshness)['warn_after'] !== undefined || toFields(freshness)['error_after'] !== undefined) {
      leave(
        source.file,
        source.line,
        `source ${name}`,
        'freshness of a source',
        '`sluice status` says when each source was last read.',
      );
    }
  }
}

export const HOOK_REMEDY = 'Grants and logging are the server’s and the run’s business; drop it, or do it outside.';

const OTHERS: Readonly<Record<string, { readonly word: string; readonly what: string; readonly remedy: string }>> = {
  exposures: {
    word: 'exposure',
    what: 'who reads the tables',
    remedy: 'Name it in the description of the gold table that it reads.',
  },
  metrics: { word: 'metric', what: 'a metric', remedy: 'Write it in models/metrics.' },
  semantic_models: {
    word: 'semantic model',
    what: 'a semantic model',
    remedy: 'Give the gold table a `dataset` block.',
  },
  saved_queries: { word: 'saved query', what: 'a saved query', remedy: 'Make it a gold table.' },
  groups: { word: 'group', what: 'a group of owners', remedy: 'Domains are folders; `owner` says whose a row is.' },
  unit_tests: { word: 'unit test', what: 'a unit test', remedy: 'Write it in sql/unit: rows in, rows out.' },
};
