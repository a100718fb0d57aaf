import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadDemo } from '../../demo/index.ts';
import { app } from '../../models/sources/app.ts';
import { loadSources } from '../../warehouse/extract/index.ts';
import { assertNoStack, parseError, runCli } from '../support/cli.ts';
import { type InitAnswer, type InitPlace, initPlace } from './support.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const exec = promisify(execFile);

let place: InitPlace;
const places: InitPlace[] = [];
beforeEach(async () => {
  place = await initPlace();
  places.push(place);
});
after(async () => {
  for (const each of places) await each[Symbol.asyncDispose]();
});

/** tsc, biome and oxlint with the repository's own rules over the sources of a project. */
async function checkStatically(dir: string): Promise<void> {
  const config = join(dir, 'tsconfig.json');
  await writeFile(
    config,
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { typeRoots: [join(root, 'node_modules/@types')] },
      include: ['models/**/*.ts'],
      exclude: [],
    }),
  );
  const bin = (name: string): string => join(root, 'node_modules/.bin', name);
  const run = async (name: string, args: readonly string[], cwd: string): Promise<void> => {
    await exec(bin(name), [...args], { cwd }).catch((error: { stdout?: string; stderr?: string }) => {
      assert.fail(`${name} refuses what init wrote:\n${error.stdout ?? ''}${error.stderr ?? ''}`);
    });
  };
  await run('tsc', ['-p', config], dir);
  // Both take a folder's own configuration: the repository's, without its rule to follow .gitignore, which a temporary folder has not.
  const biome = JSON.parse(await readFile(join(root, 'biome.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(dir, 'biome.json'), JSON.stringify({ ...biome, $schema: undefined, vcs: { enabled: false } }));
  await run('biome', ['ci', '--colors=off', 'models'], dir);
  await run('oxlint', ['--type-aware', '--deny-warnings', '-c', join(root, '.oxlintrc.json'), 'models'], dir);
}

function tableOf(answer: InitAnswer, name: string): InitAnswer['sources'][number]['tables'][number] {
  const table = answer.sources.flatMap((source) => source.tables).find((candidate) => candidate.table === name);
  assert.ok(table !== undefined, `${name} is proposed`);
  return table;
}

const TOUCH = `create function touch() returns trigger language plpgsql as $$ begin new.updated_at = now(); return new; end $$;`;
const touched = (table: string): string =>
  `create trigger touch before insert or update on ${table} for each row execute function touch();`;

test('each table gets the mode that its keys and triggers prove, with the reason', async () => {
  await place.client.query(`${TOUCH}
    create table proven (id bigint primary key, v text, updated_at timestamptz not null default now()); ${touched('proven')} insert into proven values (1, 'a'); create index on proven (updated_at);
    create table unindexed (id bigint primary key, updated_at timestamptz); ${touched('unindexed')}
    create table untriggered (id bigint primary key, updated_at timestamptz); create index on untriggered (updated_at);
    create table half (id bigint primary key, updated_at timestamptz); create trigger touch before update on half for each row execute function touch();
    create table naive (id bigint primary key, updated_at timestamp);
    create table unique_key (a int not null, b int not null, c int unique, note text, unique (b, a));
    create table nullable_key (a int unique, v text);
    create table partial_key (a int not null, v text); create unique index on partial_key (a) where v is null;
    create table bag (v text, updated_at timestamptz); ${touched('bag')} insert into bag values ('a');
    create table changing_bag (v text); insert into changing_bag values ('a'); update changing_bag set v = 'b';
    create table losing (id bigint primary key, updated_at timestamptz not null default now()); ${touched('losing')}
    insert into losing select i from generate_series(1, 20) i; delete from losing where id < 8;
    create table parted (id bigint, at date, updated_at timestamptz, primary key (id, at)) partition by range (at);
    create table parted_1 partition of parted for values from ('2026-01-01') to ('2026-02-01'); create table parted_2 partition of parted default; ${touched('parted')}
    insert into parted select i, date '2026-01-01' + i % 50 from generate_series(1, 500) i;
    create table parent (id int primary key); create table child (extra int) inherits (parent);
    create view a_view as select * from proven; create materialized view a_matview as select * from proven;
    create table no_columns (); comment on table proven is 'What is proven. It''s so.'`);
  await place.client.query('analyze; select pg_stat_force_next_flush()');
  const answer = await place.propose();
  const [source] = answer.sources;
  assert.equal(source?.name, answer.database);
  assert.deepEqual(
    source.tables.map(({ table, mode, key, cursor }) => [table, mode, key.join(), cursor]),
    [
      ['bag', 'append', '', null],
      ['changing_bag', 'full', '', null],
      ['half', 'full', 'id', null],
      ['losing', 'full', 'id', null],
      ['naive', 'full', 'id', null],
      ['nullable_key', 'full', '', null],
      ['parent', 'full', '', null],
      ['parted', 'cursor', 'id,at', 'updated_at'],
      ['partial_key', 'full', '', null],
      ['proven', 'cursor', 'id', 'updated_at'],
      ['unindexed', 'cursor', 'id', 'updated_at'],
      ['unique_key', 'full', 'b,a', null],
      ['untriggered', 'full', 'id', null],
    ],
  );
  const reasons: Readonly<Record<string, RegExp>> = {
    proven: /^a trigger sets updated_at from now\(\) on every insert and update$/,
    unindexed: /without an index on updated_at each run scans/,
    untriggered: /no trigger sets updated_at from now\(\) before every insert/,
    half: /no trigger sets updated_at from now\(\) before every insert/,
    naive: /updated_at is timestamp without time zone, not timestamptz/,
    unique_key: /no column tells when a row changed/,
    bag: /it has no key, and no row was ever updated or deleted: only new rows are read/,
    changing_bag: /it has no key: replaced whole/,
    losing: /rows are deleted here \(7 so far\), which a cursor on updated_at would not show/,
    parent: /tables inherit from it/,
  };
  for (const [table, why] of Object.entries(reasons)) assert.match(tableOf(answer, table).why, why, table);
  assert.match(
    tableOf(answer, 'bag').hints.join(),
    /^Should a row be updated or deleted after all, the table is replaced whole/,
  );
  assert.match(tableOf(answer, 'changing_bag').hints.join(), /^Append-only\?/);
  assert.match(tableOf(answer, 'untriggered').hints.join(), /With the trigger of docs\/sources\.md on updated_at/);
  assert.deepEqual([tableOf(answer, 'parted').estimated_rows, tableOf(answer, 'losing').estimated_rows], [500, 13]);
  assert.deepEqual(Object.fromEntries(source.left_out.map(({ table, why }) => [table, why])), {
    a_matview: 'a materialized view; --views carries it, whole each time',
    a_view: 'a view; --views carries it, whole each time',
    child: 'inherits from public.parent, which brings its rows',
    no_columns: 'it has no columns',
    parted_1: 'a partition of public.parted, which brings its rows',
    parted_2: 'a partition of public.parted, which brings its rows',
  });
  const text = await readFile(join(place.dir, answer.files[0] ?? ''), 'utf8');
  assert.match(text, /\/\/ What is proven\. It's so\.\n {4}\/\/ cursor: a trigger sets/);
  assert.match(text, /\/\/ a_view left out: a view/);
  await checkStatically(place.dir);
  // The proposals hold: everything is carried, and equals its source.
  const extracted = await place.sluice('extract', '--json');
  assert.equal(extracted.code, 0, extracted.stdout);
  const verified = await place.sluice('verify', '--json');
  assert.equal(verified.code, 0, verified.stdout);
  const views = await place.propose('--views', '--force');
  assert.deepEqual(
    ['a_view', 'a_matview'].map((name) => [tableOf(views, name).mode, tableOf(views, name).key]),
    [
      ['full', []],
      ['full', []],
    ],
  );
  assert.equal((await place.sluice('verify', '--json')).code, 1, 'the views were not extracted yet');
  assert.equal((await place.sluice('extract', '--json')).code, 0);
  assert.equal((await place.sluice('verify', '--json')).code, 0);
});

test('odd identifiers survive the whole way', async () => {
  const names = [
    'Upper',
    'with space',
    "it's",
    'double"quote',
    `both' and "two"`,
    'back\\slash',
    'select',
    'class',
    'constructor',
    'größe',
    '表',
    '🙂 smile',
    'a/b',
    '../up',
    'per%cent',
    '$dollar',
    '${x}',
    '`tick`',
    '1st',
    '123',
    'semi;colon',
    'new\nline',
    'tab\t',
    'rtl\u202egnp',
    'nbsp\u00a0',
    'x'.repeat(63),
    '--',
    '*/',
    'true',
    'null',
    'toString',
    'a.b',
    'mode',
  ];
  const id = (name: string): string => `"${name.replaceAll('"', '""')}"`;
  await place.client.query(`create schema "Odd ""Schema"" */ ';--"`);
  for (const [i, name] of names.entries()) {
    const columns = names.map((column, j) => `${id(column)} ${j % 3 === 0 ? 'int' : 'text'}`).join(', ');
    await place.client.query(
      `create table "Odd ""Schema"" */ ';--".${id(name)} (${columns}, "E-Mail" text, primary key (${id(name)}, ${id(names[(i + 1) % names.length] ?? '')}))`,
    );
    await place.client.query(
      `insert into "Odd ""Schema"" */ ';--".${id(name)} select ${names.map((_, j) => (j % 3 === 0 ? 'i' : `'v' || i`)).join(', ')}, 'raw-mail' || i from generate_series(1, 3) i`,
    );
  }
  await place.client.query(
    `comment on table "Odd ""Schema"" */ ';--"."Upper" is E'first line\\n*/ second \u2028 line'`,
  );
  const answer = await place.propose();
  assert.equal(answer.sources[0]?.name, 'odd_schema');
  assert.deepEqual(new Set(answer.sources[0]?.tables.map((table) => table.table)), new Set(names));
  await checkStatically(place.dir);
  const [source] = await loadSources(place.dir);
  assert.equal(source?.schema, `Odd "Schema" */ ';--`);
  assert.deepEqual(source?.tables['表']?.columns, [...names, 'E-Mail']);
  assert.deepEqual(source?.tables['表']?.mask, { 'E-Mail': 'hash' });
  assert.equal((await place.sluice('doctor', '--json')).code, 0);
  const extracted = await place.sluice('extract', '--json');
  assert.equal(extracted.code, 0, extracted.stdout);
  const verified = await place.sluice('verify', '--json');
  assert.equal(verified.code, 0, verified.stdout);
});

test('what bronze or DuckDB could not tell apart is left out with its reason, and a key with it', async () => {
  await place.client.query(`create table t (id int primary key, "Id" int, _seq int, __proto__ text, v text, "V" text); create table "T" (id int);
    create table keyed (_op int primary key, other int not null unique); create table hopeless (_op int); create table words (password text)`);
  const answer = await place.propose();
  const why = (table: string): (readonly [string, string | null])[] =>
    tableOf(answer, table)
      .columns.filter((column) => column.treatment === 'leave out')
      .map((column) => [column.name, column.why] as const);
  // "T" sorts before t: it is met first.
  assert.deepEqual(
    answer.sources[0]?.left_out.map(({ table }) => table),
    ['hopeless', 't', 'words'],
  );
  assert.deepEqual(tableOf(answer, 'keyed').key, ['other']);
  assert.deepEqual(why('keyed'), [['_op', 'bronze or TypeScript uses this name itself']]);
  await place.client.query('drop table "T"');
  const again = await place.propose('--force');
  assert.deepEqual(
    tableOf(again, 't')
      .columns.filter((column) => column.treatment !== 'leave out')
      .map((column) => column.name),
    ['id', 'v'],
  );
  await checkStatically(place.dir);
});

test('secrets are left out and personal data is masked, and both sides of a foreign key alike', async () => {
  await place.client.query(`create table people (email text primary key, password_hash text, birth_date date, points int);
    create table orders (id int primary key, placed_by text references people, tax_id bigint);
    create table rates (id bigint primary key, rate numeric(5, 2)); alter table orders add foreign key (tax_id) references rates;
    create table sessions (token text primary key, person text references people, seen inet);
    insert into people values ('ada.raw@example.org', 'raw-hash', '1979-03-14', 5); insert into rates values (7, 19);
    insert into orders values (1, 'ada.raw@example.org', 7); insert into sessions values ('raw-token', 'ada.raw@example.org', '10.1.2.3')`);
  const answer = await place.propose();
  const treatments = (table: string): Record<string, string> =>
    Object.fromEntries(tableOf(answer, table).columns.map((column) => [column.name, column.treatment]));
  assert.deepEqual(treatments('people'), {
    email: 'hash',
    password_hash: 'leave out',
    birth_date: 'hash',
    points: 'carry',
  });
  assert.deepEqual(treatments('orders'), { id: 'carry', placed_by: 'hash', tax_id: 'carry' });
  assert.deepEqual(treatments('sessions'), { token: 'hash', person: 'hash', seen: 'hash' });
  const text = await readFile(join(place.dir, answer.files[0] ?? ''), 'utf8');
  assert.match(text, /^ {8}\/\/ password_hash \(text\) left out: password$/m);
  assert.match(text, /^ {8}email: 'hash', \/\/ e-mail address$/m);
  await checkStatically(place.dir);
  // init wrote the secret that the masks need, so the first run is one command; and the hashes join.
  for (const command of ['extract', 'build'] as const)
    assert.equal((await place.sluice(command, '--json')).code, 0, command);
  const path = `bronze.${answer.sources[0]?.name}`;
  const joined = await place.sluice(
    'query',
    '--json',
    `select count(*) as n, min(length(p.email)) as width from ${path}.orders o join ${path}.people p on p.email = o.placed_by join ${path}.sessions s on s.person = p.email`,
  );
  assert.match(joined.stdout, /"rows":\[\{"n":"?1"?,"width":"?64"?\}\]/);
  const files = await readdir(join(place.dir, '.sluice'), { recursive: true, withFileTypes: true });
  const secret = /SLUICE_MASK_SECRET=(.+)/.exec(await readFile(join(place.dir, '.env'), 'utf8'))?.[1] ?? '';
  assert.ok(secret.length >= 32);
  let searched = 0;
  for (const file of files.filter((entry) => entry.isFile())) {
    const bytes = await readFile(join(file.parentPath, file.name));
    searched++;
    for (const raw of ['ada.raw@', 'raw-hash', 'raw-token', '1979-03-14', '10.1.2.3', secret])
      assert.ok(!bytes.includes(raw), `${file.name} holds ${raw}`);
  }
  assert.ok(searched > 5);
  const { mode } = await stat(join(place.dir, '.env'));
  assert.equal(mode & 0o777, 0o600);
});

test('it proposes for the demo what its own source says', async () => {
  await loadDemo({ url: place.url, scale: 0.05, seed: 1, asOf: '2026-06-30' });
  await place.client.query(
    `delete from app.transactions where id in (select id from app.transactions limit 1); delete from app.tags where id in (select id from app.tags limit 1)`,
  );
  await place.client.query('select pg_stat_force_next_flush()');
  const answer = await place.propose('--schema', 'app');
  assert.deepEqual(
    Object.fromEntries(
      answer.sources[0]?.tables.map(({ table, mode, key, cursor }) => [table, { mode, key, cursor }]) ?? [],
    ),
    Object.fromEntries(
      Object.entries(app.tables).map(([table, definition]) => [
        table,
        {
          mode: definition.mode,
          key: definition.key,
          cursor: 'cursor' in definition ? definition.cursor.column : null,
        },
      ]),
    ),
  );
  const users = tableOf(answer, 'users').columns.filter((column) => column.treatment !== 'carry');
  assert.deepEqual(
    users.map((column) => [column.name, column.treatment]),
    [
      ['email', 'hash'],
      ['hashed_password', 'leave out'],
    ],
  );
});

test('a database of 300 tables takes seconds', async () => {
  await place.client.query(TOUCH);
  for (let i = 0; i < 300; i++) {
    const columns = Array.from(
      { length: 20 },
      (_, j) => `c${j} ${['int', 'text', 'numeric(12,2)', 'timestamptz'][j % 4]}`,
    );
    await place.client.query(
      `create table t${i} (id bigint primary key, ${columns.join(', ')}, updated_at timestamptz); ${i % 2 === 0 ? touched(`t${i}`) : ''}`,
    );
  }
  const answer = await place.propose();
  assert.equal(answer.sources[0]?.tables.length, 300);
  assert.equal(answer.sources[0].tables.filter((table) => table.mode === 'cursor').length, 150);
  assert.ok(answer.ms < 8000, `${answer.ms} ms`);
  await checkStatically(place.dir);
});

test('nothing is written over without --force, and a refused init writes nothing', async () => {
  await place.client.query(
    'create schema a; create schema b; create table a.t (id int primary key); create table b.t (id int primary key)',
  );
  await place.propose('--schema', 'a');
  const path = join(place.dir, 'models/sources/a.ts');
  const mine = `${await readFile(path, 'utf8')}// mine\n`;
  await writeFile(path, mine);
  const refused = await place.sluice('init', '--from', place.url, '--json');
  assert.equal(refused.code, 2);
  const error = parseError(refused);
  assert.equal(error.code, 'USAGE');
  assert.match(error.message, /models\/sources\/a\.ts is there already/);
  assert.match(error.remedy, /--force/);
  assert.equal(await readFile(path, 'utf8'), mine);
  assert.ok(!existsSync(join(place.dir, 'models/sources/b.ts')));
  await writeFile(
    join(place.dir, 'models/sources/other.ts'),
    mine.replace("name: 'a'", "name: 'b'").replace('const a', 'const b'),
  );
  const twin = await place.sluice('init', '--from', place.url, '--schema', 'b', '--json');
  assert.match(parseError(twin).message, /defines the source b already/);
  await rm(join(place.dir, 'models/sources/other.ts'));
  const { files } = await place.propose('--force');
  assert.deepEqual(files, ['models/sources/a.ts', 'models/sources/b.ts']);
  assert.doesNotMatch(await readFile(path, 'utf8'), /mine/);
  assert.deepEqual((await readdir(join(place.dir, 'models/sources'))).sort(), ['a.ts', 'b.ts'], 'no draft is left');
});

test('an .env that is there stays as it is, and the output says what to set', async () => {
  await place.client.query('create table people (id int primary key, email text)');
  await mkdir(place.dir, { recursive: true });
  await writeFile(join(place.dir, '.env'), 'SLUICE_LOG_LEVEL=error\n');
  await writeFile(join(place.dir, '.gitignore'), 'dist');
  const { next } = await place.propose();
  assert.equal(await readFile(join(place.dir, '.env'), 'utf8'), 'SLUICE_LOG_LEVEL=error\n');
  assert.equal(await readFile(join(place.dir, '.gitignore'), 'utf8'), 'dist\n.sluice/\n.env\n');
  assert.match(next.map((step) => step.command).join('\n'), /SLUICE_SOURCE_URL=[\s\S]*SLUICE_MASK_SECRET=/);
  const doctor = await place.sluice('doctor', '--json');
  assert.doesNotMatch(doctor.stdout, /INTERNAL/);
});

test('a role with few rights gets what it may read, and hears the rest', async () => {
  const role = `sluice_init_${process.pid}`;
  await place.client.query(`${TOUCH} create table open (id int primary key, v text, w text, updated_at timestamptz); ${touched('open')} create table closed (id int);
    create table guarded (id int primary key); alter table guarded enable row level security;
    create role ${role} login password 'raw-role-password'; grant usage on schema public to ${role}; grant select (id, v, updated_at) on open to ${role}; grant select on guarded to ${role}`);
  try {
    const url = new URL(place.url);
    url.username = role;
    url.password = 'raw-role-password';
    const result = await place.sluice('init', '--from', url.href);
    assert.equal(result.code, 0, result.stderr);
    assert.match(result.stdout, /closed +the role may not read it: grant select on it/);
    assert.match(result.stdout, /guarded +row-level security would hide rows/);
    assert.match(result.stdout, /\.open\.w +text +left out +the role may not read it/);
    assert.match(
      result.stdout,
      /Until that is mended, each run scans cursor tables for rows of new transactions: the role lacks pg_read_all_stats/,
    );
    assert.doesNotMatch(result.stdout + result.stderr, /raw-role-password/);
    assert.equal((await place.sluice('extract', '--json')).code, 0);
  } finally {
    await place.client.query(`drop owned by ${role}; drop role ${role}`);
  }
});

test('bad input is refused with the remedy, without a stack and without the password', async () => {
  const cases: readonly [readonly string[], number, string, RegExp][] = [
    [['init', '--from', 'mysql://raw-user:raw-pw@h/d'], 2, 'USAGE', /not the URL of a Postgres/],
    [['init', '--from', 'shop'], 2, 'USAGE', /not the URL of a Postgres/],
    [['init', '--schema', 'x'], 2, 'USAGE', /--schema says something about a database/],
    [['init', '--from', 'postgres://u:raw-pw@127.0.0.1:1/d'], 3, 'SOURCE_UNREACHABLE', /cannot be opened/],
    [['init', '--from', place.url.replace(/:[^:@/]+@/, ':raw-pw@')], 3, 'SOURCE_AUTH_FAILED', /cannot be opened/],
    [['init', '--from', `${place.url}_gone`], 3, 'SOURCE_UNREACHABLE', /does not exist/],
    [['init', '--from', place.url], 4, 'SOURCE_TABLE_MISSING', /has no table that this role can carry/],
    [['init', '--from', place.url, '--schema', 'nowhere'], 4, 'SOURCE_TABLE_MISSING', /has no schema nowhere/],
  ];
  for (const [args, code, name, message] of cases) {
    const result = await place.sluice(...args, '--json');
    assert.equal(result.code, code, `${args.join(' ')}: ${result.stdout}`);
    const error = parseError(result);
    assert.equal(error.code, name);
    assert.match(error.message, message);
    assert.ok(error.remedy.length > 20 && !error.remedy.includes('SLUICE_SOURCE_URL'));
    assert.doesNotMatch(result.stdout + result.stderr, /raw-pw/);
    assertNoStack(result);
  }
  assert.deepEqual(await readdir(place.dir), [], 'nothing was written');
});

test('without --from it makes an empty project that git can hold, twice the same', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-empty-'));
  try {
    const project = join(dir, 'new', 'shop');
    const first = await runCli(['init', '--project', project]);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /sluice init --from postgres:\/\//);
    const files = (await readdir(project, { recursive: true })).sort();
    assert.deepEqual(files, [
      '.env.example',
      '.gitignore',
      'models',
      'models/sources',
      'models/sources/.gitkeep',
      'package.json',
      'sql',
      'sql/gold',
      'sql/gold/.gitkeep',
      'sql/silver',
      'sql/silver/.gitkeep',
    ]);
    assert.match(await readFile(join(project, '.gitignore'), 'utf8'), /^\.sluice\/$/m);
    const example = await readFile(join(project, '.env.example'), 'utf8');
    assert.match(example, /^#SLUICE_SOURCE_URL=embedded$/m);
    const second = await runCli(['init', '--project', project, '--json']);
    assert.equal(second.code, 0);
    assert.deepEqual((JSON.parse(second.stdout) as { created: string[] }).created, []);
    const extract = await runCli(['extract', '--project', project, '--json']);
    assert.equal(parseError(extract).code, 'SOURCE_DEFINITION_INVALID');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
