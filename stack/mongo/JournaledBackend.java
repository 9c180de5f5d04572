import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.h2.H2Database;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import io.netty.channel.Channel;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;
import org.h2.mvstore.MVStore;

/**
 * Commits whole commands: the file never has a part of one, so that a document and its index entries are there together
 * or not at all, whenever the process is killed.
 *
 * <p>A document and its index entries are in maps of their own, and a commit of the store takes all maps as they are at
 * that moment. So commands that may write hold a read lock, and a commit the write lock. A commit is made every 100 ms,
 * as MongoDB flushes its journal, and after each command whose write concern has {@code j: true}, before its answer.
 */
final class JournaledBackend extends H2Backend {
    /** Milliseconds after which a write is in the file at the latest. */
    private static final int COMMIT_INTERVAL = 100;
    /** Commands that only read, in lower case. They see the maps as they are and need no lock. */
    private static final Set<String> READS = Set.of("find", "getmore", "hello", "ismaster", "ping");

    private final MVStore store;
    /** Fair, because a commit would otherwise wait for ever under load. */
    private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock(true);
    private final ScheduledExecutorService committer = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "committer");
        thread.setDaemon(true);
        return thread;
    });

    JournaledBackend(MVStore store) {
        super(store);
        this.store = store;
        committer.scheduleWithFixedDelay(this::commit, COMMIT_INTERVAL, COMMIT_INTERVAL, TimeUnit.MILLISECONDS);
    }

    @Override
    protected MongoDatabase openOrCreateDatabase(String name) {
        // The backend opens what is in the file before our own field is set.
        return new H2Database(name, getMvStore(), getCursorRegistry()) {
            @Override
            protected Index<Object> openOrCreateUniqueIndex(
                    String collection, String index, List<IndexKey> keys, boolean sparse) {
                return new FilterIndex(super.openOrCreateUniqueIndex(collection, index, keys, sparse), sparse);
            }
        };
    }

    @Override
    public Document handleMessage(MongoMessage message) {
        return run(message.getDocument(), () -> super.handleMessage(message));
    }

    @Override
    public Document handleCommand(Channel channel, String database, String command, Document query) {
        return run(query, () -> super.handleCommand(channel, database, command, query));
    }

    private Document run(Document command, Supplier<Document> action) {
        if (READS.contains(command.keySet().iterator().next().toLowerCase())) {
            return action.get();
        }
        Document reply;
        lock.readLock().lock();
        try {
            reply = action.get();
        } finally {
            lock.readLock().unlock();
        }
        // A message becomes a command: only the outermost of the two is complete.
        if (lock.getReadHoldCount() == 0 && isJournaled(command)) {
            commit();
            // Waits for what H2 still has to write in the background.
            store.executeFilestoreOperation(() -> {});
        }
        return reply;
    }

    private static boolean isJournaled(Document command) {
        return command.get("writeConcern") instanceof Document concern && Boolean.TRUE.equals(concern.get("j"));
    }

    @Override
    public void commit() {
        lock.writeLock().lock();
        try {
            store.commit();
        } catch (RuntimeException error) {
            DataFile.end(error);
        } finally {
            lock.writeLock().unlock();
        }
    }

    @Override
    public void close() {
        committer.shutdown();
        lock.writeLock().lock();
        try {
            super.close();
        } finally {
            lock.writeLock().unlock();
        }
    }
}
