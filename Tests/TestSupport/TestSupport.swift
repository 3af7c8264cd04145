/// Where the tests find things.
public enum TestSupport {}
