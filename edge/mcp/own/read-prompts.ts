import { readSchema } from '../../../core/mcp/gate.ts';
import { READ } from '../briefing/prompts.ts';
import { readingFor } from '../briefing/reading.ts';
import { readingTool, textsResult } from './own-tool.ts';

/** Prompts of a project, whole. */
export const readPrompts = readingTool({
  name: READ,
  title: 'Read notes of this project',
  description:
    'Reads rules and notes of this project whole: those with these names, and those with words like these tags. begin_session lists their names.',
  schema: readSchema,
  isIn: ({ gate }) => gate !== 'off',
  async run(deps, asked, { names = [], tags = [] }) {
    const read = await readingFor(deps, asked, { names, tags });
    asked.notes.read(read.names);
    return textsResult(read.texts, { 'mcpctl.dev/read': read.names });
  },
});
