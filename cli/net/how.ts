import { McpctlError } from '../../core/errors.ts';
import { overviewViewSchema, type OverviewView } from '../../core/operator/overview.ts';
import { systemViewSchema, type SystemView } from '../../core/operator/system.ts';
import type { Http } from './http.ts';
import { readAnswer } from './views.ts';

/** How the server is, and how it goes there. */
export interface HowCalls {
  /** @returns undefined where the server is of a release that does not say so. */
  overview(): Promise<OverviewView | undefined>;
  /** Edges, stores, scheduler and duties. */
  system(): Promise<SystemView>;
}

export const howCalls = (http: Http): HowCalls => ({
  async overview() {
    try {
      const answer = await http.json({ method: 'GET', path: '/api/v1/overview' });
      return readAnswer(
        overviewViewSchema,
        answer,
        'The server says in no form that is known here how it goes.',
      );
    } catch (thrown) {
      if (thrown instanceof McpctlError && thrown.code === 'route_not_found') return undefined;
      throw thrown;
    }
  },
  async system() {
    const answer = await http.json({ method: 'GET', path: '/api/v1/system' });
    return readAnswer(systemViewSchema, answer, 'The server says in no form that is known here how it is.');
  },
});
