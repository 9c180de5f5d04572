import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.KeyValue;
import de.bwaldvogel.mongo.bson.Document;
import java.util.Set;

/**
 * A unique index that is also used by filters with further conditions, as MongoDB does.
 *
 * <p>The index itself serves a filter that has its fields and no others. For {@code {_id: …, status: …}} the backend
 * would look through all documents, and the platform changes actions by such filters. Here the index finds the
 * candidates, and the backend compares each of them with the whole filter, as it always does.
 */
final class FilterIndex extends Index<Object> {
    private final Index<Object> index;

    FilterIndex(Index<Object> index, boolean sparse) {
        super(index.getName(), index.getKeys(), sparse);
        this.index = index;
    }

    /** The part of a filter that the index can be asked for; the filter itself if it has not all of its fields. */
    private Document ownPart(Document filter) {
        Set<String> fields = keySet();
        if (filter.size() == fields.size() || !filter.keySet().containsAll(fields)) {
            return filter;
        }
        Document part = new Document();
        fields.forEach(field -> part.put(field, filter.get(field)));
        return part;
    }

    @Override
    public boolean canHandle(Document filter) {
        return index.canHandle(ownPart(filter));
    }

    @Override
    public Iterable<Object> getPositions(Document filter) {
        return index.getPositions(ownPart(filter));
    }

    @Override
    public Set<KeyValue> getKeyValues(Document document) {
        return index.getKeyValues(document);
    }

    @Override
    public Object getPosition(Document document) {
        return index.getPosition(document);
    }

    @Override
    public void checkAdd(Document document, MongoCollection<Object> collection) {
        index.checkAdd(document, collection);
    }

    @Override
    public void add(Document document, Object position, MongoCollection<Object> collection) {
        index.add(document, position, collection);
    }

    @Override
    public Object remove(Document document) {
        return index.remove(document);
    }

    @Override
    public void checkUpdate(Document before, Document after, MongoCollection<Object> collection) {
        index.checkUpdate(before, after, collection);
    }

    @Override
    public void updateInPlace(Document before, Document after, Object position, MongoCollection<Object> collection) {
        index.updateInPlace(before, after, position, collection);
    }

    @Override
    public long getCount() {
        return index.getCount();
    }

    @Override
    public boolean isEmpty() {
        return index.isEmpty();
    }

    @Override
    public long getDataSize() {
        return index.getDataSize();
    }

    @Override
    public boolean isUnique() {
        return index.isUnique();
    }

    @Override
    public void drop() {
        index.drop();
    }
}
