import { z } from 'zod';
import { listQuerySchema } from '../../core/page.ts';
import { poolGuestSchema, poolOwnerViewSchema, poolViewSchema } from '../../core/pool.ts';
import { listOf, type Operation } from './operation.ts';

const Pool = poolViewSchema.meta({ id: 'Pool' });
const guestsSchema = z.object({ poolKey: z.string(), allowed: z.array(z.string()) });

/** What people call of pools. */
export const poolOperations: readonly Operation[] = [
  {
    call: 'GET /pools',
    tag: 'pools',
    summary: 'List pools',
    query: listQuerySchema,
    status: 200,
    answer: listOf(Pool),
    errors: ['invalid_request', 'invalid_cursor'],
  },
  {
    call: 'GET /pools/{key}',
    tag: 'pools',
    summary: 'Show a pool',
    status: 200,
    answer: Pool,
    errors: ['pool_not_found'],
  },
  {
    call: 'POST /pools/{key}/allow',
    tag: 'pools',
    summary: 'Let a user join the pool',
    body: poolGuestSchema,
    status: 200,
    answer: guestsSchema,
    errors: ['invalid_request', 'pool_not_found'],
  },
  {
    call: 'POST /pools/{key}/deny',
    tag: 'pools',
    summary: 'Let a user join no longer',
    body: poolGuestSchema,
    status: 200,
    answer: guestsSchema,
    errors: ['invalid_request', 'pool_not_found'],
  },
  {
    call: 'POST /pools/{key}/owner',
    tag: 'pools',
    summary: 'Hand the pool over',
    about:
      'For its owner and admins. Admins also give a key that nobody uses: so a user gets the name of a well-known model.',
    body: poolGuestSchema,
    status: 200,
    answer: poolOwnerViewSchema,
    errors: ['invalid_request', 'pool_not_found', 'name_taken'],
  },
];
