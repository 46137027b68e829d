/**
 * The client of the bench, a process of its own: what it has to count is in nobody's way. It gets jobs from its parent
 * and answers each with what it found.
 */
import { messageOf } from '../../core/errors.ts';
import type { Job } from './job.ts';
import { runJob } from './run.ts';

process.on('message', (job: Job) => {
  runJob(job).then(
    (measured) => process.send?.({ measured }),
    (thrown: unknown) => process.send?.({ failed: messageOf(thrown) }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ready: true });
