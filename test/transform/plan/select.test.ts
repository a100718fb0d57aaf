import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { type CompiledModel, selectModels } from '../../../warehouse/transform/index.ts';
import { createRandom } from '../../support/random.ts';
import { graphModel } from './graph-models.ts';

/**
 *   bronze.app.a → silver.stg_a → silver.int_a → gold.fct_a → gold.agg_a
 *   bronze.app.b → silver.stg_b ────────────────┘      gold.other ← silver.stg_b
 */
const MODELS: readonly CompiledModel[] = [
  graphModel({ name: 'silver.stg_a', domain: 'app', dependencies: ['bronze.app.a'], materialized: 'view' }),
  graphModel({ name: 'silver.stg_b', domain: 'app/raw', dependencies: ['bronze.app.b'], materialized: 'view' }),
  graphModel({ name: 'silver.int_a', domain: 'app', dependencies: ['silver.stg_a'], tags: ['daily'] }),
  graphModel({ name: 'gold.fct_a', domain: 'web', dependencies: ['silver.int_a', 'silver.stg_b'], tags: ['daily'] }),
  graphModel({ name: 'gold.other', domain: 'web', dependencies: ['silver.stg_b'] }),
  graphModel({ name: 'gold.agg_a', domain: 'kpi', dependencies: ['gold.fct_a'], materialized: 'incremental' }),
];
const ALL = MODELS.map(({ name }) => name);

const CASES: Readonly<Record<string, readonly string[]>> = {
  'gold.fct_a': ['gold.fct_a'],
  fct_a: ['gold.fct_a'],
  'int_a gold.other': ['silver.int_a', 'gold.other'],
  'gold.*': ['gold.fct_a', 'gold.other', 'gold.agg_a'],
  '*_a': ['silver.stg_a', 'silver.int_a', 'gold.fct_a', 'gold.agg_a'],
  'stg_?': ['silver.stg_a', 'silver.stg_b'],
  'stg_[a]': ['silver.stg_a'],
  'stg_[!a]': ['silver.stg_b'],
  gold: ['gold.fct_a', 'gold.other', 'gold.agg_a'],
  'silver/app': ['silver.stg_a', 'silver.stg_b', 'silver.int_a'],
  'silver/app/raw': ['silver.stg_b'],
  '+gold.fct_a': ['silver.stg_a', 'silver.stg_b', 'silver.int_a', 'gold.fct_a'],
  '1+gold.fct_a': ['silver.stg_b', 'silver.int_a', 'gold.fct_a'],
  '0+gold.fct_a': ['gold.fct_a'],
  'int_a+': ['silver.int_a', 'gold.fct_a', 'gold.agg_a'],
  'int_a+1': ['silver.int_a', 'gold.fct_a'],
  '1+int_a+1': ['silver.stg_a', 'silver.int_a', 'gold.fct_a'],
  '@int_a': ['silver.stg_a', 'silver.stg_b', 'silver.int_a', 'gold.fct_a', 'gold.agg_a'],
  'tag:daily': ['silver.int_a', 'gold.fct_a'],
  'tag:daily,gold': ['gold.fct_a'],
  'tag:daily,gold,materialized:table int_a': ['silver.int_a', 'gold.fct_a'],
  'tag:daily+,materialized:incremental': ['gold.agg_a'],
  'path:sql/gold/web': ['gold.fct_a', 'gold.other'],
  'path:./gold/web/': ['gold.fct_a', 'gold.other'],
  'path:sql/*/app/stg_*.sql': ['silver.stg_a'],
  'path:sql/gold/web/other.sql': ['gold.other'],
  'layer:gold': ['gold.fct_a', 'gold.other', 'gold.agg_a'],
  'domain:app': ['silver.stg_a', 'silver.stg_b', 'silver.int_a'],
  'domain:app/raw': ['silver.stg_b'],
  'materialized:view': ['silver.stg_a', 'silver.stg_b'],
  'config.materialized:view': ['silver.stg_a', 'silver.stg_b'],
  'source:app.a+': ['silver.stg_a', 'silver.int_a', 'gold.fct_a', 'gold.agg_a'],
  'source:app+1': ['silver.stg_a', 'silver.stg_b'],
  'bronze.app.b+1': ['silver.stg_b'],
};

test('every form of a selector chooses what its words say', () => {
  for (const [text, names] of Object.entries(CASES)) assert.deepEqual([...selectModels(MODELS, [text])], names, text);
});

test('several arguments are one union, and without any all models are chosen', () => {
  assert.deepEqual([...selectModels(MODELS, ['stg_a', 'gold.other'])], ['silver.stg_a', 'gold.other']);
  assert.deepEqual([...selectModels(MODELS)], ALL);
});

test('what is excluded is left out last, whatever chose it', () => {
  const select = (selectors: readonly string[], exclude: readonly string[]) => [
    ...selectModels(MODELS, selectors, { exclude }),
  ];
  assert.deepEqual(select([], ['gold']), ['silver.stg_a', 'silver.stg_b', 'silver.int_a']);
  assert.deepEqual(select(['+gold.fct_a'], ['1+gold.fct_a']), ['silver.stg_a']);
  assert.deepEqual(select(['gold'], ['tag:daily,layer:gold', 'agg_a']), ['gold.other']);
  assert.deepEqual(select(['int_a'], ['int_a+']), []);
});

test('changed is what the release does not have in this form; that nothing is, is no error', () => {
  const known = new Map(ALL.map((name) => [name, { fingerprint: name === 'silver.int_a' ? 'before' : name }]));
  known.delete('gold.other');
  const select = (selector: string) => [...selectModels(MODELS, [selector], { known })];
  assert.deepEqual(select('changed'), ['silver.int_a', 'gold.other']);
  assert.deepEqual(select('state:modified'), ['silver.int_a', 'gold.other']);
  assert.deepEqual(select('state:new'), ['gold.other']);
  assert.deepEqual(select('changed+'), ['silver.int_a', 'gold.fct_a', 'gold.other', 'gold.agg_a']);
  assert.deepEqual(select('changed,silver'), ['silver.int_a']);
  const same = new Map(ALL.map((name) => [name, { fingerprint: name }]));
  assert.deepEqual([...selectModels(MODELS, ['changed+'], { known: same })], []);
  assert.deepEqual([...selectModels(MODELS, ['changed'])], ALL, 'before the first release all is new');
});

const REFUSED: Readonly<Record<string, RegExp>> = {
  'gold.fct_b': /did you mean gold\.fct_a\?/,
  fact_a: /did you mean fct_a\?/,
  'tga:daily': /tga:.*did you mean tag:\?/,
  'tag:dayly': /no model has the tag dayly; did you mean daily\?/,
  'layer:golden': /did you mean gold\?/,
  'materialized:views': /did you mean view\?/,
  'state:new_': /did you mean new\?/,
  'source:ap+': /did you mean app\?/,
  'bronze.app.a': /chooses no model/,
  'gold.x*': /chooses nothing/,
  '@int_a+': /both @ and \+/,
  'int_a, gold': /names nothing/,
  '': /names nothing/,
  '+': /names nothing/,
};

test('what names nothing is refused with the nearest that is there, in --exclude too', () => {
  for (const [text, words] of Object.entries(REFUSED)) {
    for (const run of [() => selectModels(MODELS, [text]), () => selectModels(MODELS, [], { exclude: [text] })]) {
      assert.throws(run, (error) => isSluiceError(error, 'MODEL_SELECT_UNKNOWN') && words.test(error.message), text);
    }
  }
});

type Wanted = {
  readonly names: readonly string[];
  readonly up: number;
  readonly down: number;
  readonly whole: boolean;
};

/** Everything within so many steps, by counting up the lengths of walks one by one. */
function walkOracle(
  edges: readonly (readonly [string, string])[],
  start: readonly string[],
  steps: number,
): Set<string> {
  const at = new Set(start);
  for (let step = 0; step < Math.min(steps, 40); step++) {
    for (const name of Array.from(at)) for (const [from, to] of edges) if (from === name) at.add(to);
  }
  return at;
}

test('random selections over random graphs choose what a walk over the edges does', () => {
  const random = createRandom(6);
  let choices = 0;
  for (let round = 0; round < 300; round++) {
    const count = 1 + random.below(9);
    const models = Array.from({ length: count }, (_, i) =>
      graphModel({
        name: `${i < count / 2 ? 'silver' : 'gold'}.m${i}`,
        domain: `d${random.below(2)}`,
        tags: random.below(2) === 0 ? ['even'] : ['odd'],
        dependencies: [
          ...Array.from({ length: i }, (_, j) => `${j < count / 2 ? 'silver' : 'gold'}.m${j}`).filter(
            () => random.below(3) === 0,
          ),
          ...(random.below(2) === 0 ? [`bronze.app.t${random.below(2)}`] : []),
        ],
      }),
    );
    const names = models.map(({ name }) => name);
    const up = models.flatMap(({ name, dependencies }) => dependencies.map((other) => [name, other] as const));
    const down = up.map(([from, to]) => [to, from] as const);
    const evaluate = (wanted: Wanted): Set<string> => {
      if (wanted.whole) return walkOracle(up, [...walkOracle(down, wanted.names, 99)], 99);
      return new Set([...walkOracle(up, wanted.names, wanted.up), ...walkOracle(down, wanted.names, wanted.down)]);
    };
    const criterion = (): { readonly text: string; readonly wanted: Wanted } => {
      const model = random.pick(models);
      const forms: readonly (readonly [string, readonly string[]])[] = [
        [model.name, [model.name]],
        [model.table, [model.name]],
        ['*.m*', names],
        [`${model.layer}.*`, names.filter((name) => name.startsWith(model.layer))],
        [`tag:${model.tags[0]}`, models.filter(({ tags }) => tags[0] === model.tags[0]).map(({ name }) => name)],
        [`domain:${model.domain}`, models.filter(({ domain }) => domain === model.domain).map(({ name }) => name)],
      ];
      const [body, base] = random.pick(forms);
      if (random.below(6) === 0) return { text: `@${body}`, wanted: { names: base, up: 0, down: 0, whole: true } };
      const steps = (): readonly [string, number] =>
        random.pick([['', 0], ['+', 99], ...[0, 1, 2].map((n) => [`${n}`, n] as const)] as const);
      const [before, upSteps] = steps();
      const [after, downSteps] = steps();
      const head = before === '' || before === '+' ? before : `${before}+`;
      const tail = after === '' || after === '+' ? after : `+${after}`;
      return { text: `${head}${body}${tail}`, wanted: { names: base, up: upSteps, down: downSteps, whole: false } };
    };
    const expression = () => {
      const unions = Array.from({ length: 1 + random.below(3) }, () =>
        Array.from({ length: 1 + random.below(3) }, criterion),
      );
      const texts = unions.map((criteria) => criteria.map(({ text }) => text).join(','));
      const chosen = new Set(
        unions.flatMap((criteria) =>
          names.filter((name) => criteria.every(({ wanted }) => evaluate(wanted).has(name))),
        ),
      );
      return { texts, chosen };
    };
    const select = expression();
    const exclude = random.below(2) === 0 ? expression() : { texts: [], chosen: new Set<string>() };
    const expected = names.filter((name) => select.chosen.has(name) && !exclude.chosen.has(name));
    const selectors = random.below(2) === 0 ? select.texts : [select.texts.join(' ')];
    const told = `${selectors.join(' ')} --exclude ${exclude.texts.join(' ')} over ${JSON.stringify(up)}`;
    assert.deepEqual([...selectModels(models, selectors, { exclude: exclude.texts })], expected, told);
    choices += expected.length;
  }
  assert.ok(choices > 300, `only ${choices} models were chosen in all`);
});
