import { expect } from 'chai';
import { readPage, beginning, firstSeq } from '../../../core/queue/task/stream.ts';
import { isTerminal, type TaskRow } from '../../../core/task/task.ts';
import { POOL, type House } from './house.ts';

/** Sees everything that is done and checks it against the promises of docs/model.md. */
export class Observer {
  readonly #house: House;
  /** What rows said when they ended. */
  readonly #ended = new Map<string, string>();
  /** Fences closed by somebody since Redis was last lost. */
  readonly #closed = new Set<string>();
  /** Claims of which bytes were shown, by task, since Redis was last lost. */
  readonly #shown = new Map<string, string>();
  readonly #claims = new Map<string, string>();
  readonly #claimOf = new Map<string, string>();

  constructor(house: House) {
    this.#house = house;
  }

  /** After every step: what the rows say, and what the streams hold. */
  async look(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const row = await this.#house.registry.tasks.byId(id);
      if (row) await this.#rowIs(row);
      await this.#streamOf(id);
    }
  }

  async #rowIs(row: TaskRow): Promise<void> {
    const before = this.#ended.get(row.id);
    const says = JSON.stringify([row.status, row.errorCode, row.claimId, row.completedAt, row.finishReason]);
    if (before !== undefined) expect(says, 'I2: a task that had ended changed').to.equal(before);
    else if (isTerminal(row.status)) this.#ended.set(row.id, says);
    expect(row.crashes, 'crashes').to.be.lessThan(3);
    const claim = this.#claimOf.get(row.id);
    if (claim !== undefined)
      expect([row.status, row.claimId], 'I2: what a caller was told').to.deep.equal(['completed', claim]);
  }

  /** One claim per epoch, its numbers without gaps, one end, and nothing after it. */
  async #streamOf(id: string): Promise<void> {
    const { redis, keys } = this.#house.queue;
    const { entries } = await readPage(redis, keys.pool(POOL).task(id).stream, beginning);
    const speakers = new Set<string>();
    entries.forEach((entry, i) => {
      if (entry.kind === 'events') {
        for (const [at, event] of entry.data.entries()) {
          const [task, claim, n] = event.split(' ');
          expect(task, 'I8: an event of another task').to.equal(id);
          expect(Number(n), 'I7: numbers').to.equal(firstSeq(entry) + at);
          speakers.add(`${claim}`);
        }
      } else expect(i, 'I3: an end is the last entry').to.equal(entries.length - 1);
      if (entry.kind === 'end') speakers.add(entry.ending.claim);
      expect(entry.epoch, 'I7: one epoch').to.equal(entries[0]?.epoch);
    });
    expect([...speakers], 'I7: one claim in a stream').to.have.length.lessThan(2);
  }

  /** A claim was given out. */
  claimed(id: string, { claim, epoch }: { claim: string; epoch: number }): void {
    expect(this.#closed.has(id), 'I9: a closed task was claimed').to.equal(false);
    const before = this.#claims.get(`${id} ${epoch}`);
    expect(before, 'I4: an epoch has one claim').to.be.oneOf([undefined, claim]);
    this.#claims.set(`${id} ${epoch}`, claim);
  }

  /** Redis took what a claim said. `wasLost`: that claim had been told that it is over. */
  spoke(id: string, { wasLost }: { wasLost: boolean }): void {
    expect(wasLost, 'I4: a claim that was over opened again').to.equal(false);
    expect(this.#closed.has(id), 'I9: a closed task spoke').to.equal(false);
  }

  shown(id: string, claim: string): void {
    expect(this.#shown.get(id), 'I7: two claims of a task were shown').to.be.oneOf([undefined, claim]);
    this.#shown.set(id, claim);
  }

  closed(id: string): void {
    this.#closed.add(id);
  }

  toldCompleted(id: string, claim: string): void {
    this.#claimOf.set(id, claim);
  }

  redisLost(): void {
    this.#closed.clear();
    this.#shown.clear();
  }
}
