import { beginSchema } from '../../../core/mcp/gate.ts';
import { briefingFor } from '../briefing/briefing.ts';
import { openGate } from '../briefing/gate.ts';
import { readingTool, textsResult } from './own-tool.ts';

/** Tells a project's prompts for a task. Asked again it chooses again. */
export const beginSession = readingTool({
  name: 'begin_session',
  title: 'Begin a task',
  description:
    'Call this first, at the beginning of each new task. It answers with the rules and notes of this project that matter for the task, a list of the others, and the servers that there are.',
  schema: beginSchema,
  isIn: ({ gate }) => gate !== 'off',
  async run(deps, asked, { task, tags = [] }) {
    const { texts, about } = await briefingFor(deps, asked, { task, tags, by: 'begin_session' });
    asked.notes.briefed(about);
    await openGate(deps, asked);
    return textsResult(texts, { 'mcpctl.dev/briefing': about });
  },
});
