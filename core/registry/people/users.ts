import { v7 } from 'uuid';
import type { Actor } from '../../access.ts';
import type { Connection } from '../database/connect.ts';

export interface User {
  id: string;
  name: string;
  binding: Actor['binding'];
}

export interface Users {
  byName(name: string): Promise<User | undefined>;
  /** Makes the user when new; one that is there keeps its binding. */
  ensure(name: string, binding: Actor['binding']): Promise<User>;
}

export function createUsers({ db }: Connection): Users {
  const byName = (name: string): Promise<User | undefined> =>
    db<User>('users').where({ name }).first('id', 'name', 'binding');
  return {
    byName,
    async ensure(name, binding) {
      const [made] = await db<User>('users')
        .insert({ id: v7(), name, binding })
        .onConflict('name')
        .ignore()
        .returning(['id', 'name', 'binding']);
      return made ?? (await byName(name)) ?? { id: '', name, binding };
    },
  };
}
