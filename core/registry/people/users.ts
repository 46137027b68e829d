import { v7 } from 'uuid';
import { z } from 'zod';
import { bindings, type Actor } from '../../access.ts';
import type { Connection } from '../database/connect.ts';
import { userCalled } from './users-there.ts';

const userSchema = z.object({ id: z.string(), name: z.string(), binding: z.enum(bindings) });
export type User = z.infer<typeof userSchema>;
const userColumns = Object.keys(userSchema.shape);
const parseUser = (row: unknown): User | undefined => userSchema.optional().parse(row);

export interface Users {
  byName(name: string): Promise<User | undefined>;
  /** Makes the user when new; one that is there keeps its binding. */
  ensure(name: string, binding: Actor['binding']): Promise<User>;
  /** The way back in, for who is at the machine: an enabled person in `admins`. @returns whether there is such a user. */
  makeAdmin(name: string): Promise<boolean>;
}

/** Nobody's token does it: whoever may run the release on the machine. */
const atTheMachine = ({ id, name }: { id: string; name: string }) => ({
  ...{ actorName: 'mcpd release', verb: 'edit', resource: 'user', objectId: id, objectName: name },
  changes: JSON.stringify([{ field: 'groups', to: 'admins' }]),
});

export function createUsers({ db, transaction }: Connection): Users {
  const byName = async (name: string): Promise<User | undefined> =>
    parseUser(await userCalled(db, name).first<unknown>(userColumns));
  return {
    byName,
    async makeAdmin(name) {
      // The database makes a member of `admins` of who has that binding (migration 0027).
      const now = { binding: 'admin', enabled: true, kind: 'human' } as const;
      return transaction(async (trx) => {
        const [made] = await userCalled(trx, name).update(now).returning<{ id: string }[]>('id');
        if (made) await trx('audit').insert(atTheMachine({ name, ...made }));
        return made !== undefined;
      });
    },
    async ensure(name, binding) {
      const made: unknown = await db('users')
        .insert({ id: v7(), name, binding })
        .onConflict('name')
        .ignore()
        .returning<unknown[]>(userColumns);
      return userSchema.array().parse(made)[0] ?? (await byName(name)) ?? { id: '', name, binding };
    },
  };
}
