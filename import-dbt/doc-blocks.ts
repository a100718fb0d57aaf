import { JinjaError, parseTemplate } from './jinja/index.ts';
import type { DbtProject } from './read-project.ts';

/** Texts of {% docs name %} blocks, and descriptions with doc('name') filled in. */
export function createDescriber(project: DbtProject): (text: string | undefined) => string | undefined {
  const blocks = new Map<string, string>();
  for (const { text } of project.docs) {
    for (const [name, body] of readBlocks(text)) blocks.set(name, body);
  }
  return (text) =>
    text?.replaceAll(/\{\{\s*doc\(([^)]*)\)\s*\}\}/g, (all, args: string) => {
      const name = args.split(',').at(-1)?.trim().replaceAll(/['"]/g, '') ?? '';
      return blocks.get(name) ?? all;
    });
}

function readBlocks(text: string): [string, string][] {
  try {
    return parseTemplate(text).flatMap((statement) =>
      statement.kind === 'block' && statement.word === 'docs'
        ? [
            [
              statement.name,
              statement.body
                .map((part) => (part.kind === 'text' ? part.text : ''))
                .join('')
                .trim(),
            ],
          ]
        : [],
    );
  } catch (error) {
    // Markdown may hold braces that are no template.
    if (error instanceof JinjaError) return [];
    throw error;
  }
}
