import type { ImportContext } from './import-context.ts';
import { JinjaError, parseTemplate } from './jinja/index.ts';
import { type DbtNode, tableOf } from './nodes.ts';
import { settleLayers } from './place-models.ts';
import { type RenderedFile, renderFile } from './render-models.ts';
import { toText } from './yaml-file.ts';

/** Every enabled model and snapshot rendered, by name. */
export function renderAll(context: ImportContext): ReadonlyMap<string, RenderedFile> {
  const rendered = new Map<string, RenderedFile>();
  for (const node of context.nodes.values()) {
    if (node.kind === 'seed') continue;
    const file = node.kind === 'model' ? renderModel(context, node) : renderSnapshot(context, node);
    if (file === undefined) continue;
    if (file.config['enabled'] === false) {
      context.findings.add({
        kind: 'left_out',
        file: node.file.file,
        line: 1,
        subject: node.name,
        what: 'the model is disabled',
        remedy: '',
      });
    } else rendered.set(node.name, file);
  }
  return rendered;
}

function renderModel(context: ImportContext, node: DbtNode): RenderedFile {
  const { project, names, findings, macroCall } = context;
  const request = {
    project,
    names,
    findings,
    macroCall,
    file: node.file,
    properties: node.properties,
    self: tableOf(node),
  };
  return renderFile({ ...request, kind: 'models' });
}

function renderSnapshot(context: ImportContext, node: DbtNode): RenderedFile | undefined {
  const { project, names, findings, macroCall } = context;
  const relation = toText(node.properties?.fields['relation']);
  const isYaml = node.file.text === '' && relation !== undefined;
  const file = isYaml ? { ...node.file, text: `select * from {{ ${relation} }}` } : node.file;
  const request = {
    project,
    names,
    findings,
    macroCall,
    properties: node.properties,
    self: tableOf(node),
    kind: 'snapshots',
  };
  if (isYaml) return renderFile({ ...request, file });
  const part = parseSafely(file.text).find(
    (statement) => statement.kind === 'block' && statement.word === 'snapshot' && statement.name === node.name,
  );
  return part?.kind === 'block' ? renderFile({ ...request, file, part }) : renderFile({ ...request, file });
}

function parseSafely(text: string): ReturnType<typeof parseTemplate> {
  try {
    return parseTemplate(text);
  } catch (error) {
    // Rendering the whole file says what is wrong with it.
    if (error instanceof JinjaError) return [];
    throw error;
  }
}

/** Names of nodes that each node reads. */
export function readsByName(
  nodes: ReadonlyMap<string, DbtNode>,
  rendered: ReadonlyMap<string, RenderedFile>,
): ReadonlyMap<string, readonly string[]> {
  const byTable = new Map([...nodes.values()].map((node) => [tableOf(node), node.name]));
  return new Map([...rendered].map(([name, { refs }]) => [name, refs.flatMap((table) => byTable.get(table) ?? [])]));
}

/** Layers hang on what is read, and what is read on the rendered text: this is the first look. */
export function settleNodes(context: ImportContext): ReadonlyMap<string, DbtNode> {
  const reads = readsByName(context.nodes, renderAll(context));
  const placements = settleLayers(new Map([...context.nodes].map(([name, { placement }]) => [name, placement])), reads);
  return new Map(
    [...context.nodes].map(([name, node]) => [name, { ...node, placement: placements.get(name) ?? node.placement }]),
  );
}
