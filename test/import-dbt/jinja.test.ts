import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type CallArguments,
  JinjaError,
  parseTemplate,
  renderTemplate,
  Scope,
  toValue,
  type Value,
} from '../../import-dbt/jinja/index.ts';

/** Templates and what Jinja itself makes of them. */

function render(template: string, names: Readonly<Record<string, unknown>> = {}): string {
  const scope = new Scope();
  scope.set('namespace', ({ named }: CallArguments): Value => new Map(named));
  for (const [name, value] of Object.entries(names)) {
    scope.set(name, typeof value === 'function' ? (value as Value) : toValue(value));
  }
  return renderTemplate(parseTemplate(template), scope).text;
}

const CASES: readonly (readonly [template: string, result: string])[] = [
  ['{{ 1 + 2 * 3 }}', '7'],
  ['{{ (1 + 2) * 3 }}', '9'],
  ['{{ 7 // 2 }} {{ 7 % 4 }} {{ -7 % 4 }} {{ 2 ** 10 }}', '3 3 1 1024'],
  ['{{ "a" ~ 1 ~ true ~ none }}', 'a1TrueNone'],
  ["{{ ['a', 1, none] }}", "['a', 1, None]"],
  ["{{ {'a': 'it''s'[0:2]} }}", "{'a': 'it'}"],
  ['{{ "it\'s" }}', "it's"],
  ['{{ "\\d+\\n" }}', '\\d+\n'],
  ["{{ 'x' if 1 > 2 else 'y' }}{{ 'z' if false }}", 'y'],
  ['{{ not 1 == 2 and "b" in "abc" and 3 not in [1, 2] }}', 'True'],
  ["{{ [1, 2, 3][-1] }}{{ 'abc'[1:] }}{{ {'k': 5}.k }}{{ {'k': 6}['k'] }}", '3bc56'],
  ["{{ ' A b '.strip().lower().replace(' ', '_') }}", 'a_b'],
  ["{{ ['b', 'a'] | sort | join(', ') | upper }}", 'A, B'],
  ["{{ [1, 2, 3, 4] | select('odd') | list }}", '[1, 3]'],
  ["{{ ['a', 'b'] | map('upper') | join }}", 'AB'],
  ["{{ [{'n': 1}, {'n': 2}] | map(attribute='n') | sum }}", '3'],
  ["{{ nothing | default('d') }}{{ '' | default('e', true) }}", 'de'],
  ['{{ 5 is odd }}{{ x is defined }}{{ none is none }}{{ 4 is divisibleby 2 }}', 'TrueFalseTrueTrue'],
  ['{% for a, b in [(1, 2), (3, 4)] %}{{ a * b }}{% if not loop.last %},{% endif %}{% endfor %}', '2,12'],
  ['{% for x in [1, 2, 3, 4] if x is even %}{{ loop.index }}:{{ x }} {% else %}none{% endfor %}', '1:2 2:4 '],
  ['{% for x in [] %}{{ x }}{% else %}none{% endfor %}', 'none'],
  ["{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}", 'a=1'],
  ['{% set x = 1 %}{% for y in [5] %}{% set x = y %}{% endfor %}{{ x }}', '1'],
  ['{% set n = namespace(x=1) %}{% for y in [5] %}{% set n.x = y %}{% endfor %}{{ n.x }}', '5'],
  ['{% set list = [] %}{% do list.append(3) %}{% do list.extend([4]) %}{{ list }}', '[3, 4]'],
  ['{% set a, b = 1, 2 %}{{ b }}{{ a }}', '21'],
  ['{% set text %}x{{ 1 }}{% endset %}{{ text | upper }}', 'X1'],
  [
    '{% macro m(a, b=2) %}{{ a }}-{{ b }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{{ m(1) }} {{ m(b=4, a=3) }}',
    '1-2 3-4',
  ],
  ['{% macro m(a) %}<{{ a }}{{ caller() }}>{% endmacro %}{% call m(1) %}in{% endcall %}', '<1in>'],
  ['{% macro m() %}{{ varargs }}{{ kwargs.z }}{% endmacro %}{{ m(1, 2, z=3) }}', '[1, 2]3'],
  ['{% raw %}{{ x }}{% endraw %}', '{{ x }}'],
  ['a  {{- 1 -}}  b', 'a1b'],
  ['a\n  {%- if true -%}\n  b\n{% endif %}\nc', 'ab\nc'],
  ['a\n  {% if true %}\n  b\n  {% endif %}\nc', 'a\n  b\nc'],
  ["{{ '{{ no }}' }}{{ {'a': {'b': 1}}.a.b }}", '{{ no }}1'],
  ['{% if false %}a{% elif 1 %}b{% else %}c{% endif %}', 'b'],
  ["{{ '%s!' % 'a' }}{{ '{}-{}'.format(1, 2) }}", 'a!1-2'],
  ['{% filter upper %}a{{ "b" }}{% endfilter %}', 'AB'],
];

for (const [template, result] of CASES) {
  test(`renders ${JSON.stringify(template)}`, () => assert.equal(render(template), result));
}

const PROBLEMS: readonly (readonly [template: string, message: RegExp, at: number])[] = [
  ['select {{ x', /\{\{ is not closed/, 7],
  ['{% if x %}a', /if %\} is not closed/, 0],
  ['{% if x %}{% endfor %}', /if %\} is not closed: \{% endfor/, 0],
  ['a{% endif %}', /endif %\} closes nothing/, 1],
  ['{{ 1 + }}', /an expression is missing/, 7],
  ['{{ a b }}', /expected the end of the tag, found b/, 5],
  ['{% frobnicate %}', /frobnicate %\} is not known/, 0],
  ['{{ "a }}', /\{\{ is not closed/, 0],
  ['ab {{ nothing }}', /nothing is not defined/, 6],
  ['{{ nothing.x }}', /nothing is not defined/, 3],
  ['{{ nothing(1) }}', /nothing is not known/, 3],
  ['{{ 1 + "a" }}', /a number \+ a string has no value/, 3],
  ['{{ "a" | frobnicate }}', /the filter frobnicate is not carried/, 3],
  ['{% for x in 5 %}{% endfor %}', /a number is no list/, 12],
  ['{% set a, b = [1] %}', /does not fill a, b/, 0],
  ['{# never closed', /\{# is not closed/, 0],
];

for (const [template, message, at] of PROBLEMS) {
  test(`says what is wrong with ${JSON.stringify(template)}, and where`, () => {
    assert.throws(
      () => render(template),
      (error) => error instanceof JinjaError && message.test(error.message) && error.at === at,
    );
  });
}

test('a comment on a line of its own stays as a comment of SQL, elsewhere it goes', () => {
  assert.equal(render("{# why #}\nselect 'a{# no #}b'"), "/* why */\nselect 'ab'");
  assert.equal(render('{# a */ b #}\nx'), '\nx');
});

test('every part of the text knows where it comes from', () => {
  const template = 'select\n  {{ name }} as x,\n  {% if true %}y{% endif %}';
  const scope = new Scope();
  scope.set('name', 'very_long_name');
  const { text, origins } = renderTemplate(parseTemplate(template), scope);
  assert.equal(text, 'select\n  very_long_name as x,\n  y');
  const y = origins.findLast(({ from }) => from <= text.indexOf('y', 30));
  assert.equal(y?.at, template.indexOf('y{%'));
  assert.equal(origins.find(({ exact }) => !exact)?.at, template.indexOf('{{'));
});
