import de.bwaldvogel.mongo.backend.KeyValue;
import de.bwaldvogel.mongo.backend.Missing;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;
import org.h2.mvstore.MVStoreException;

/**
 * The file with the data: opened, and looked at for records that an earlier server has broken.
 *
 * <p>A collection is a map of its documents, and one map for each unique index. A file that was written by commits of
 * half a command may have a document that its index does not know, or the reverse; each later upsert of it fails. The
 * documents themselves are whole, so that the indexes can be built anew: the backend does that for an index map that is
 * empty.
 */
final class DataFile {
    private static final int MEGABYTE = 1 << 20;
    private static final String DOCUMENTS = "databases.";
    private static final String INDEX = "._index_";
    private static final String ID_INDEX = INDEX + "_id_";
    /** A map that says, by being there, that the file has been written by whole commands alone. */
    private static final String WHOLE_COMMANDS = "written-by-whole-commands";

    /** The file cannot be used; the message is one line. */
    static final class Refused extends Exception {
        private static final long serialVersionUID = 1L;

        Refused(String message) {
            super(message);
        }
    }

    private DataFile() {}

    /** Opens the file, or makes a new one. It is never committed by itself: that is left to the caller. */
    static MVStore open(String name) throws Refused {
        int quarterOfTheHeap = (int) (Runtime.getRuntime().maxMemory() / MEGABYTE / 4);
        AtomicBoolean opened = new AtomicBoolean();
        try {
            // H2 2.3.232 rewrites sparsely used parts of the file in the background, and has lost records by that when
            // the server was busy: "Chunk 1379 not found", at each later read too. Without it the file grows some more.
            MVStore store = new MVStore.Builder()
                    .fileName(name)
                    .cacheSize(quarterOfTheHeap)
                    .autoCompactFillRate(0)
                    .autoCommitDisabled()
                    // Nor is it committed because much has been written.
                    .autoCommitBufferSize(0)
                    .backgroundExceptionHandler((thread, error) -> {
                        if (opened.get()) {
                            end(error);
                        }
                    })
                    .open();
            // Lets a thread of H2's write what is committed while commands go on, and commit by itself after 24 days.
            store.setAutoCommitDelay(Integer.MAX_VALUE);
            repair(store, name);
            opened.set(true);
            return store;
        } catch (MVStoreException error) {
            String reason = error.getMessage().lines().findFirst().orElse("");
            throw new Refused("The data file " + name + " cannot be used (" + reason
                    + "); move it away to start with an empty one.");
        }
    }

    /** Ends the server: what was acknowledged since the last commit will never be in the file, so nobody may go on. */
    static void end(Throwable error) {
        System.err.println("The data file cannot be read or written, and the server ends: " + error.getMessage());
        Runtime.getRuntime().halt(1);
    }

    private static void repair(MVStore store, String name) {
        boolean trusted = store.hasMap(WHOLE_COMMANDS);
        for (String map : new ArrayList<>(store.getMapNames())) {
            if (!map.startsWith(DOCUMENTS) || map.contains(".system.")) {
                continue;
            }
            String collection = map.substring(DOCUMENTS.length());
            MVMap<Object, Object> documents = store.openMap(map);
            MVMap<KeyValue, Object> ids = store.openMap(collection + ID_INDEX);
            // A walk through all keys takes about a minute for a million, so it is made once in the life of a file.
            long missing = trusted ? 0 : documents.keySet().stream().filter(id -> !isIn(ids, id)).count();
            boolean broken = missing > 0 || documents.sizeAsLong() != ids.sizeAsLong();
            if (broken) {
                System.err.printf("%s: %s has %d documents, %d of them not in its index, which has %d entries;"
                        + " its indexes are built anew.%n",
                        name, collection, documents.sizeAsLong(), missing, ids.sizeAsLong());
            }
            if (broken || !trusted) {
                indexes(store, collection, broken).forEach(index -> store.openMap(index).clear());
            }
        }
        store.openMap(WHOLE_COMMANDS);
        store.commit();
    }

    /** The other unique indexes are small, and are built anew whenever something may be wrong with them. */
    private static List<String> indexes(MVStore store, String collection, boolean withIds) {
        return store.getMapNames().stream()
                .filter(name -> name.startsWith(collection + INDEX))
                .filter(name -> withIds || !name.endsWith(ID_INDEX))
                .toList();
    }

    private static boolean isIn(MVMap<KeyValue, Object> index, Object id) {
        Object value = id instanceof Missing ? null : id;
        return index.containsKey(new KeyValue(Collections.singletonList(value)).normalized());
    }
}
