"""Text of every kind, as people write it: its words, and whether it is learnt from."""
# ruff: noqa: RUF001  (letters that look alike are the point)

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from udt import HashingFeaturizer


def words(text, **options):
    """The words that a text is split into, sorted, each once."""
    featurizer = HashingFeaturizer(
        word_ngrams=(1, 1), char_ngrams=None, min_df=1, feature_names=True, **options
    )
    return set(featurizer.fit([text]).get_feature_names_out())


def same(text, other, **options):
    featurizer = HashingFeaturizer(min_df=1, **options)
    X = featurizer.fit_transform([text, other, "another x"]).toarray()
    return np.array_equal(X[0], X[1]) and X[0].any()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # scripts without spaces: a word a character, with its marks
        ("我昨天在北京。", set("我昨天在北京")),
        ("日本語とカタカナー", set("日本語とカタナー")),
        ("น้ำดื่ม", {"น\u0e49\u0e4d", "า", "ดื่", "ม"}),
        # scripts with spaces: marks stay within their words
        ("हिन्दी में किताबें", {"हिन्दी", "में", "किताबें"}),
        ("বাংলা ভাষা", {"বাংলা", "ভাষা"}),
        ("தமிழ் மொழி", {"தமிழ்", "மொழி"}),
        ("오늘은 날씨가 좋다", {"오늘은", "날씨가", "좋다"}),
        ("كتاب جديد، أليس كذلك؟", {"كتاب", "جديد", "أليس", "كذلك"}),
        ("שלום עולם", {"שלום", "עולם"}),
        ("Größe DES Straßennamens", {"grösse", "des", "strassennamens"}),
        ("ΟΔΟΣ οδός", {"οδοσ", "οδόσ"}),
        ("Привет, МИР", {"привет", "мир"}),
        # mixed
        ("iPhone15を買う", {"iphone15", "を", "買", "う"}),
        ("LINEで연락して", {"line", "で", "연락", "し", "て"}),
        ("ราคา500บาท", {"ร", "า", "ค", "500", "บ", "ท"}),
        # emoji: families part by part, flags letter by letter, tones by themselves
        ("great👍🏽!!", {"great", "👍", "🏽", "!"}),
        ("👨\u200d👩\u200d👧 home", {"👨", "👩", "👧", "home"}),
        ("🇯🇵x🇫🇷", {"🇯", "🇵", "x", "🇫", "🇷"}),
        ("I❤\ufe0fNY", {"i", "❤", "ny"}),
        # code
        ("snake_case = camelCase(x1)", {"snake_case", "=", "camelcase", "(", "x1", ")"}),
        ("if a<=b && !c:", {"if", "a", "<", "=", "b", "&", "!", "c", ":"}),
        ("/usr/lib/python3.11", {"/", "usr", "lib", "python3", "11"}),
        ("#include <stdio.h>", {"#", "include", "<", "stdio", "h", ">"}),
        ("x += 0x1F; // note", {"x", "+", "=", "0x1f", ";", "/", "note"}),
        # addresses
        (
            "https://example.org/a-b?q=1#top",
            {"https", ":", "/", "example", "org", "a", "b", "?", "q", "=", "1", "#", "top"},
        ),
        ("mail jane.doe+x@example.org", {"mail", "jane", "doe", "+", "x", "@", "example", "org"}),
        ("5€, £3.50 ½ №7", {"5", "€", "£", "3", "50", "1", "⁄", "2", "no7"}),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("كتاب جميل", "كـــتاب جمـيل"),  # tatweel
        ("كتاب", "\u200fكتاب\u200e"),  # marks of direction
        ("\u202bשלום\u202c עולם", "שלום עולם"),
        ("می\u200cخواهم", "میخواهم"),  # zero-width non-joiner
        ("ක්\u200dෂ", "ක්ෂ"),  # zero-width joiner
        ("café", "cafe\u0301"),
        ("tiếng Việt", "tie\u0302\u0301ng Vie\u0323\u0302t"),
        ("한국어", "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165"),  # as jamo
        ("ガギグ", "ｶﾞｷﾞｸﾞ"),
        ("ＡＢＣ１２３", "abc123"),
        ("ﻛﺘﺎﺏ", "كتاب"),  # presentation forms
        ("soft\u00adware", "software"),
        ("ǅungla", "džungla"),
        ("STRASSE", "straße"),
    ],
)
def test_spellings_that_are_one(text, other):
    assert same(text, other)
    assert same(text, other, char_ngrams=None)


@pytest.mark.parametrize(
    ("text", "other"),
    [("كِتَابٌ", "كتاب"), ("שָׁלוֹם", "שלום"), ("crème brûlée", "creme brulee"), ("Việt", "Viet")],
)
def test_spellings_that_are_one_without_accents(text, other):
    assert not same(text, other)
    assert same(text, other, strip_accents=True)


def test_a_flag_is_a_pair_of_letters():
    featurizer = HashingFeaturizer(char_ngrams=None, min_df=1, feature_names=True)
    featurizer.fit(["🇫🇷 🇯🇵"])
    assert {"🇫 🇷", "🇯 🇵"} <= set(featurizer.get_feature_names_out())


# Of food, then of weather; the last three of each are not trained on.
SENTENCES = {
    "Chinese": (
        "这家餐厅的面条很好吃。 我想喝一杯热茶。 妈妈做的饺子最香。 晚饭我们吃米饭和鱼。 "
        "这道菜太辣了。 早餐有鸡蛋和面包。 他点了一份牛肉面。 这家店的菜不好吃。 "
        "我们晚饭吃饺子。 她喝了一杯热牛奶。",
        "今天下大雨。 明天会很冷。 昨天的风特别大。 天气预报说要下雪。 夏天这里非常热。 "
        "外面是晴天。 天空有很多乌云。 明天要下雨。 今天天气很热。 外面的风很冷。",
    ),
    "Japanese": (
        "このラーメンはとても美味しい。 朝ごはんに卵を食べました。 寿司が食べたいです。 "
        "母の料理は最高だ。 温かいお茶を飲みます。 昼ごはんはカレーでした。 "
        "この店の魚は新鮮で美味しい。 夜は寿司を食べます。 このカレーは美味しい。 "
        "お茶を飲みました。",
        "今日は雨が降っています。 明日は雪が降るでしょう。 昨日は風が強かった。 "
        "夏はとても暑い。 天気予報では晴れです。 空に雲が多い。 冬の朝は寒い。 "
        "明日は雨が降るでしょう。 今日は風が強い。 昨日は暑かった。",
    ),
    "Thai": (
        "ข้าวผัดจานนี้อร่อยมาก ฉันกินก๋วยเตี๋ยวตอนเช้า แม่ทำแกงอร่อย เขาชอบดื่มชาร้อน "
        "อาหารร้านนี้เผ็ดเกินไป เรากินข้าวกับปลา มื้อเย็นมีไข่กับขนมปัง อาหารที่แม่ทำอร่อย "
        "เรากินก๋วยเตี๋ยวอร่อย เขาดื่มชากับขนมปัง",
        "วันนี้ฝนตกหนัก พรุ่งนี้อากาศจะหนาว เมื่อวานลมแรงมาก ฤดูร้อนอากาศร้อนจัด "
        "ท้องฟ้ามีเมฆมาก พยากรณ์อากาศบอกว่าฝนจะตก เช้านี้มีหมอกลง พรุ่งนี้ฝนจะตกหนัก "
        "วันนี้อากาศหนาวมาก เมื่อวานท้องฟ้ามีเมฆ",
    ),
    "Arabic": (
        "هذا الطعام لذيذ جدا. أكلنا الأرز مع السمك. أمي تطبخ الدجاج. شربت الشاي مع الخبز. "
        "طعام هذا المطعم لذيذ. أحب أكل الخبز الساخن. الحساء في المطعم مالح. أكلنا الدجاج مع "
        "الأرز. شربت الحساء الساخن. طعام أمي لذيذ.",
        "الجو بارد اليوم. نزل المطر أمس. الرياح قوية في الشتاء. ستشرق الشمس غدا. السماء "
        "مليئة بالغيوم. الجو حار في الصيف. سينزل الثلج غدا. نزل الثلج أمس. الجو حار اليوم. "
        "الرياح باردة في الشتاء.",
    ),
    "Hindi": (
        "यह खाना बहुत स्वादिष्ट है। मैंने सुबह चाय पी। माँ ने चावल और दाल बनाई। हमने होटल "
        "में रोटी खाई। मुझे मीठा खाना पसंद है। उसने गरम दूध पिया। सब्ज़ी में नमक कम है। माँ "
        "ने खाना बनाया। हमने चावल और रोटी खाई। उसने गरम चाय पी।",
        "आज तेज़ बारिश हो रही है। कल बहुत ठंड होगी। आसमान में बादल हैं। गर्मी में धूप तेज़ "
        "होती है। पहाड़ों पर बर्फ़ गिरी। हवा बहुत तेज़ चल रही है। मौसम आज अच्छा है। कल तेज़ "
        "बारिश होगी। आज आसमान में धूप है। हवा ठंडी चल रही है।",
    ),
    "Korean": (
        "이 식당 국수가 정말 맛있어요. 아침에 빵과 계란을 먹었어요. 엄마가 만든 김치가 "
        "맛있다. 따뜻한 차를 마셨어요. 저녁에 밥과 생선을 먹었다. 이 음식은 너무 매워요. "
        "우유를 마시고 빵을 먹었다. 엄마가 만든 음식이 맛있어요. 저녁에 국수를 먹었어요. "
        "아침에 우유를 마셨어요.",
        "오늘은 비가 많이 와요. 내일은 날씨가 추워요. 어제 바람이 강했다. 여름에는 정말 "
        "더워요. 하늘에 구름이 많아요. 겨울에 눈이 많이 왔다. 내일 비가 올 거예요. 오늘 "
        "날씨가 더워요. 어제는 비가 왔다. 하늘이 맑고 바람이 불어요.",
    ),
    "Code": (
        'for(i=0;i<n;i++){s+=a[i];} int*p=&x; if(a==b){return(0);} printf("%d",n); '
        "while(n>0){n--;} x=f(a,b); #include<math.h> for(j=0;j<m;j++){t+=b[j];} "
        "if(x==y){return(1);} int*q=&n;",
        "see+the+page+at+www.example.org/news/today http://example.com/about.html "
        "mail@example.net www.example.com/home.html https://example.org/news/list.html "
        "ftp://example.net/files info@example.com http://example.net/home.html "
        "news@example.org www.example.net/about.html",
    ),
}


def sentences(language):
    """Sentences end at their stop; those of scripts without one, at the space."""
    stops = {"Arabic": ". ", "Hindi": "। ", "Korean": ". "}
    rows = [text.split(stops.get(language)) for text in SENTENCES[language]]
    assert [len(of_class) for of_class in rows] == [10, 10]
    train = rows[0][:7] + rows[1][:7]
    return train, rows[0][7:] + rows[1][7:]


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("tokenizer", [None, "bpe", "wordpiece", "unigram"])
def test_topics_are_learnt_from_a_dozen_sentences(language, tokenizer):
    train, test = sentences(language)
    featurizer = HashingFeaturizer(min_df=1, tokenizer=tokenizer)
    model = make_pipeline(featurizer, LogisticRegression(C=100))
    predicted = model.fit(train, [0] * 7 + [1] * 7).predict(test)
    assert np.sum(predicted == [0, 0, 0, 1, 1, 1]) >= 5
