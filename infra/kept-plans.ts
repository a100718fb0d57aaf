import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { SluiceError } from '../warehouse/core/errors.ts';
import { type Plan, planFactsSchema } from '../warehouse/transform/index.ts';
import type { Config } from './config.ts';

/** Plans as `sluice plan` leaves them, so that `sluice build --plan` does that and nothing else: <state>/plans/<id>.json. */

const KEPT = 20;

const planOptionsSchema = z.strictObject({
  as_of: z.string(),
  select: z.array(z.string()).optional(),
  exclude: z.array(z.string()).optional(),
  full_refresh: z.boolean().optional(),
});

/** What `sluice plan --json` prints is one of these, with more beside it. */
const keptPlanSchema = z.object({ plan_id: z.string(), options: planOptionsSchema, inputs: planFactsSchema });
export type KeptPlan = z.infer<typeof keptPlanSchema>;

export interface PlanRequest {
  readonly select?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
  readonly fullRefresh?: boolean | undefined;
}

export function toKeptPlan(plan: Plan, request: PlanRequest): KeptPlan {
  const { select, exclude, fullRefresh } = request;
  return {
    plan_id: plan.id,
    options: {
      as_of: plan.asOf,
      ...(select && { select: [...select] }),
      ...(exclude && { exclude: [...exclude] }),
      ...(fullRefresh && { full_refresh: true }),
    },
    inputs: plan.facts,
  };
}

/** Keeps the plan; the oldest beyond twenty go. */
export async function keepPlan({ stateDir }: Pick<Config, 'stateDir'>, plan: KeptPlan): Promise<void> {
  const dir = join(stateDir, 'plans');
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, `${plan.plan_id}.json`), `${JSON.stringify(plan)}\n`);
  const names = (await readdir(dir)).filter((name) => name.endsWith('.json'));
  const aged = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(dir, name)).catch(() => undefined))?.mtimeMs ?? 0 })),
  );
  for (const { name } of aged.toSorted((a, b) => b.at - a.at).slice(KEPT)) await rm(join(dir, name), { force: true });
}

/** By id, or a file that holds what `sluice plan --json` printed. Errors: PLAN_NOT_FOUND. */
export async function readKeptPlan({ stateDir }: Pick<Config, 'stateDir'>, named: string): Promise<KeptPlan> {
  const isId = /^[0-9a-f]{16}$/.test(named);
  const path = isId ? join(stateDir, 'plans', `${named}.json`) : named;
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw notFound(
      isId ? `There is no plan ${named} in ${join(stateDir, 'plans')}` : `The file ${path} cannot be read`,
      cause,
    );
  });
  const parsed = keptPlanSchema.safeParse(parseJson(text));
  if (!parsed.success) throw notFound(`${path} is no plan`, parsed.error);
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function notFound(what: string, cause: unknown): SluiceError {
  return new SluiceError('PLAN_NOT_FOUND', `${what}.`, {
    remedy:
      'sluice plan makes one and prints its id; sluice plan --json > plan.json makes a file for --plan plan.json.',
    cause,
  });
}
