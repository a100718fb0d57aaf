import type { TestResult } from '../../warehouse/core/release.ts';
import type { CompiledModel, ModelLineage, ModelTest } from '../../warehouse/transform/index.ts';
import { SLUICE_VERSION } from '../version.ts';

/** OpenLineage run events (spec 2-0-2) as plain data. */

export type EventType = 'START' | 'COMPLETE' | 'FAIL' | 'ABORT';

export interface JsonObject {
  readonly [field: string]: unknown;
}

export interface LineageDataset {
  readonly namespace: string;
  readonly name: string;
  readonly facets?: JsonObject;
  readonly inputFacets?: JsonObject;
  readonly outputFacets?: JsonObject;
}

export interface RunEvent {
  readonly eventType: EventType;
  readonly eventTime: string;
  readonly run: { readonly runId: string; readonly facets: JsonObject };
  readonly job: { readonly namespace: string; readonly name: string; readonly facets: JsonObject };
  readonly inputs: readonly LineageDataset[];
  readonly outputs: readonly LineageDataset[];
  readonly producer: string;
  readonly schemaURL: string;
}

/** Names the program and its version; a URI by the specification, not a place to visit. */
const PRODUCER = `urn:sluice:${SLUICE_VERSION}`;
const SPEC = 'https://openlineage.io/spec';

function facet(file: string, version: string, fields: JsonObject): JsonObject {
  return { _producer: PRODUCER, _schemaURL: `${SPEC}/facets/${version}/${file}.json#/$defs/${file}`, ...fields };
}

export interface RunFacts {
  readonly type: EventType;
  readonly at: Date;
  readonly runId: string;
  readonly namespace: string;
  readonly job: string;
  readonly jobType: 'PIPELINE' | 'MODEL' | 'TEST' | 'EXTRACT';
  readonly parent?: { readonly runId: string; readonly job: string };
  /** Logical date, YYYY-MM-DD. */
  readonly asOf?: string;
  readonly error?: string;
  readonly sql?: string;
  readonly inputs?: readonly LineageDataset[];
  readonly outputs?: readonly LineageDataset[];
}

export function createRunEvent(facts: RunFacts): RunEvent {
  const { parent, namespace } = facts;
  return {
    eventType: facts.type,
    eventTime: facts.at.toISOString(),
    run: {
      runId: facts.runId,
      facets: {
        ...(parent && {
          parent: facet('ParentRunFacet', '1-2-0', {
            run: { runId: parent.runId },
            job: { namespace, name: parent.job },
          }),
        }),
        ...(facts.asOf !== undefined && {
          nominalTime: facet('NominalTimeRunFacet', '1-0-1', { nominalStartTime: `${facts.asOf}T00:00:00Z` }),
        }),
        ...(facts.error !== undefined && {
          errorMessage: facet('ErrorMessageRunFacet', '1-0-1', { message: facts.error, programmingLanguage: 'SQL' }),
        }),
      },
    },
    job: {
      namespace,
      name: facts.job,
      facets: {
        jobType: facet('JobTypeJobFacet', '2-0-4', {
          processingType: 'BATCH',
          integration: 'SLUICE',
          jobType: facts.jobType,
        }),
        ...(facts.sql !== undefined && {
          sql: facet('SQLJobFacet', '1-1-0', { query: facts.sql, dialect: 'duckdb' }),
        }),
      },
    },
    inputs: facts.inputs ?? [],
    outputs: facts.outputs ?? [],
    producer: PRODUCER,
    schemaURL: `${SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent`,
  };
}

function schemaFacet(
  columns: readonly { readonly name: string; readonly type: string; readonly description?: string | undefined }[],
): JsonObject {
  const fields = columns.map(({ name, type, description }) => ({ name, type, ...(description && { description }) }));
  return { schema: facet('SchemaDatasetFacet', '1-2-0', { fields }) };
}

export function rowsFacet(rowCount: number): JsonObject {
  return { outputStatistics: facet('OutputStatisticsOutputDatasetFacet', '1-0-2', { rowCount }) };
}

/** A model as the output of its run. A column whose lineage is not fully known is left out of the lineage: no statement is no wrong one. */
export function modelDataset(
  namespace: string,
  model: CompiledModel,
  lineage: ModelLineage | undefined,
  rows: number | undefined,
): LineageDataset {
  const descriptions = new Map(model.columns.map(({ name, description }) => [name.toLowerCase(), description]));
  const known = lineage?.columns.filter((column) => column.unknown === undefined) ?? [];
  const fields = known.map(({ column, inputs }) => [
    column,
    {
      inputFields: inputs.map((input) => ({
        namespace,
        name: input.table,
        field: input.column,
        transformations: [
          { type: 'DIRECT', subtype: input.kind === 'copied' ? 'IDENTITY' : 'TRANSFORMATION', masking: false },
        ],
      })),
    },
  ]);
  const dataset = lineage?.rows.inputs.map((input) => ({
    namespace,
    name: input.table,
    field: input.column,
    transformations: [{ type: 'INDIRECT', subtype: 'FILTER', description: 'decides which rows there are' }],
  }));
  return {
    namespace,
    name: model.name,
    facets: {
      ...schemaFacet(
        model.boundColumns.map((column) => ({ ...column, description: descriptions.get(column.name.toLowerCase()) })),
      ),
      ...(lineage && {
        columnLineage: facet('ColumnLineageDatasetFacet', '1-2-0', { fields: Object.fromEntries(fields), dataset }),
      }),
    },
    ...(rows !== undefined && { outputFacets: rowsFacet(rows) }),
  };
}

/** A tested model as an input of its tests. */
export function testedDataset(
  namespace: string,
  name: string,
  results: readonly TestResult[],
  tests: readonly ModelTest[],
): LineageDataset {
  const columnOf = (result: TestResult) => {
    const test = tests.find((one) => one.name === result.name);
    if (test === undefined) return undefined;
    return 'column' in test
      ? test.column
      : test.kind === 'unique' && test.columns.length === 1
        ? test.columns[0]
        : undefined;
  };
  const assertions = results.map((result) => {
    const column = columnOf(result);
    return {
      assertion: result.name,
      success: result.status === 'pass',
      severity: result.severity,
      ...(column !== undefined && { column }),
    };
  });
  return {
    namespace,
    name,
    inputFacets: { dataQualityAssertions: facet('DataQualityAssertionsDatasetFacet', '1-1-0', { assertions }) },
  };
}
